// Starts one node of OpenSearch, and stays until the process is ended.
//
// Arguments: its folder, the name of its cluster, its port for HTTP on 127.0.0.1. The runner's own
// command line has no option for the roles of a node, and without the role `ingest` no document
// passes the pipeline that the index template names.
import org.codelibs.opensearch.runner.OpenSearchRunner

def (folder, cluster, port) = args
new OpenSearchRunner()
    .onBuild { number, settings ->
        settings.putList('node.roles', 'cluster_manager', 'data', 'ingest')
        settings.put('discovery.type', 'single-node')
        settings.put('network.host', '127.0.0.1')
        settings.put('http.port', port)
        settings.put('transport.port', '0')
    }
    .build(OpenSearchRunner.newConfigs().basePath(folder).clusterName(cluster).numOfNode(1))
Thread.currentThread().join()
