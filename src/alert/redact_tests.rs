use std::sync::LazyLock;

use super::*;
use crate::alert::fixtures;
use crate::detect::finding::Match;

fn finding(argv: &[&str]) -> Finding {
    let mut finding = fixtures::shell_exec();
    finding.exec.argv = argv.iter().map(|&word| word.to_owned()).collect();
    finding.exec.text = argv.join(" ");
    let commands: Vec<String> = argv
        .iter()
        .map(|word| word.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>())
        .map(|word| format!("command={word}"))
        .collect();
    let uri = format!("/api/v1/namespaces/n/pods/p/exec?{}&container=c&x=%zz", commands.join("&"));
    finding.event.request_uri = Some(uri.into());
    finding.matches = Vec::new();
    finding
}

pub fn redaction() -> &'static Redaction {
    static DEFAULTS: LazyLock<Redaction> = LazyLock::new(|| Redaction::compile(true, &[]).unwrap());
    &DEFAULTS
}

/// What is left of the arguments.
fn left_of(argv: &[&str]) -> Vec<String> {
    redaction().apply(finding(argv)).exec.argv
}

/// What is left of a command as the one argument of `sh -c`.
fn left(text: &str) -> String {
    redaction().apply(finding(&["sh", "-c", text])).exec.argv[2].clone()
}

#[test]
fn the_secrets_that_command_lines_carry_are_replaced() {
    for (text, expected) in [
        (
            "curl -H 'Authorization: Bearer abcdefgh1234' x",
            "curl -H 'Authorization: Bearer [redacted]' x",
        ),
        (
            "curl -H 'Authorization: Basic dXNlcjpwYXNz' x",
            "curl -H 'Authorization: Basic [redacted]' x",
        ),
        ("echo eyJhbGciOiJSUzI1.eyJpc3MiOiJrdWJl.c2lnbmF0dXJl", "echo [redacted]"),
        ("PGPASSWORD=hunter2 psql -U app", "PGPASSWORD=[redacted] psql -U app"),
        ("MYSQL_PWD=hunter2 mysql", "MYSQL_PWD=[redacted] mysql"),
        ("x --password=hunter2 --user=u", "x --password=[redacted] --user=u"),
        ("x --password hunter2 --user u", "x --password [redacted] --user u"),
        ("x --token 'hunter2'", "x --token '[redacted]'"),
        ("curl 'https://h/?api_key=hunter2&a=b'", "curl 'https://h/?api_key=[redacted]&a=b'"),
        ("curl -d '{\"password\": \"hunter2\"}' h", "curl -d '{\"password\": \"[redacted]\"}' h"),
        ("mysql -uroot -phunter2 app", "mysql -uroot -p[redacted] app"),
        ("mysqldump -u root -p'hunter2' app", "mysqldump -u root -p'[redacted]' app"),
        ("mariadb-dump -phunter2 app", "mariadb-dump -p[redacted] app"),
        ("sshpass -p hunter2 ssh h", "sshpass -p [redacted] ssh h"),
        ("mongosh -u root -p hunter2", "mongosh -u root -p [redacted]"),
        ("redis-cli -h h -a hunter2 ping", "redis-cli -h h -a [redacted] ping"),
        ("curl -u user:hunter2 h", "curl -u user:[redacted] h"),
        ("git clone https://u:hunter2@h/r", "git clone https://u:[redacted]@h/r"),
        ("echo AKIAIOSFODNN7EXAMPLE", "echo [redacted]"),
        (
            "aws configure set aws_secret_access_key wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
            "aws configure set aws_secret_access_key [redacted]",
        ),
        ("x ghp_abcdefghijklmnopqrstuvwxyz0123456789", "x [redacted]"),
        ("x glpat-abcdefghij0123456789", "x [redacted]"),
        ("x xoxb-1234567890-abcdef", "x [redacted]"),
        (
            "echo '-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----' > k",
            "echo '[redacted]' > k",
        ),
    ] {
        assert_eq!(left(text), expected, "{text}");
    }
}

#[test]
fn values_in_quotes_are_hidden_to_their_closing_quote() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("tool --password 'hunter two'", "tool --password '[redacted]'"),
        ("tool --password \"hunter two\"", "tool --password \"[redacted]\""),
        (r#"tool --password "hun\"ter two" x"#, r#"tool --password "[redacted]" x"#),
        (r"tool --password 'it'\''s two' x", "tool --password [redacted] x"),
        (r"tool --password $'it\'s \x41' x", "tool --password $'[redacted]' x"),
        (r"tool --password hunter\ two x", "tool --password [redacted] x"),
        ("tool --password hun'ter t'wo x", "tool --password [redacted] x"),
        ("tool --password='hunter two' x", "tool --password='[redacted]' x"),
        ("tool '--password=hunter two' x", "tool '--password=[redacted]' x"),
        ("tool '--password=hunter 'two x", "tool '--password=[redacted]'[redacted] x"),
        ("PASSWORD='a b' tool", "PASSWORD='[redacted]' tool"),
        ("PASSWORD=a\\ b tool", "PASSWORD=[redacted] tool"),
        ("curl -u 'user:pa ss' h", "curl -u 'user:[redacted]' h"),
        ("mysql -u root '-phunter2' x", "mysql -u root '-p[redacted]' x"),
        ("mysql '-p$x' x", "mysql '-p[redacted]' x"),
        ("tool '--password=pa&ss' x", "tool '--password=[redacted]' x"),
        ("tool --password='unclosed x y", "tool --password='[redacted]"),
        ("bash -c 'tool --password \"a b\" c'", "bash -c 'tool --password \"[redacted]\" c'"),
        (
            r"bash -c 'tool --password '\''a b'\'' c'",
            r"bash -c 'tool --password '\''[redacted]'\'' c'",
        ),
        (r#"bash -c "tool --password \"a b\" c""#, r#"bash -c "tool --password \"[redacted]\" c""#),
        ("x=$(tool --password 'a b') y", "x=$(tool --password '[redacted]') y"),
        ("x=\"$(tool --password \"a b\")\" y", "x=\"$(tool --password \"[redacted]\")\" y"),
        ("x=`tool --password 'a b'` y", "x=`tool --password '[redacted]'` y"),
        ("P=${PASSWORD:-hunter two}", "P=${PASSWORD:-hunter two}"),
        ("DB_PASSWORD=${DB_PASSWORD:-hunter2}", "DB_PASSWORD=${DB_PASSWORD:-[redacted]}"),
    ] {
        let after = left(text);
        if after != expected {
            wrong.push((text, expected, after));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_argument_that_is_a_value_is_hidden_as_a_whole() {
    for (argv, expected) in [
        (vec!["mysql", "-pa b"], vec!["mysql", "-p[redacted]"]),
        (vec!["mysql", "-p$x"], vec!["mysql", "-p[redacted]"]),
        (vec!["tool", "--password", "a b"], vec!["tool", "--password", "[redacted]"]),
        (vec!["tool", "--password=a b"], vec!["tool", "--password=[redacted]"]),
        (vec!["tool", "--password=pa&ss'"], vec!["tool", "--password=[redacted]"]),
        (vec!["tool", "--password", "it's"], vec!["tool", "--password", "[redacted]"]),
        (vec!["tool", "--password", "$x"], vec!["tool", "--password", "[redacted]"]),
        (vec!["env", "PASSWORD=a b", "tool"], vec!["env", "PASSWORD=[redacted]", "tool"]),
        (vec!["tool", "password=a b"], vec!["tool", "password=[redacted]"]),
        (vec!["curl", "-u", "u:a b", "h"], vec!["curl", "-u", "u:[redacted]", "h"]),
        (
            vec!["curl", "-H", "X-Api-Key: a b", "h"],
            vec!["curl", "-H", "X-Api-Key: [redacted]", "h"],
        ),
        (
            vec!["sh", "-c", "PASSWORD=x1 cat /etc/shadow"],
            vec!["sh", "-c", "PASSWORD=[redacted] cat /etc/shadow"],
        ),
        (
            vec!["python3", "-c", "password='x y'; open('/etc/shadow')"],
            vec!["python3", "-c", "password='[redacted]'; open('/etc/shadow')"],
        ),
        (vec!["docker", "run", "-e", "TOKEN=a b"], vec!["docker", "run", "-e", "TOKEN=[redacted]"]),
    ] {
        assert_eq!(left_of(&argv), expected, "{argv:?}");
    }
}

#[test]
fn values_that_begin_like_a_path_are_told_from_paths() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        ("tool --password /abc", "tool --password [redacted]"),
        ("PGPASSWORD=.x psql", "PGPASSWORD=[redacted] psql"),
        ("PGPASSWORD=~x psql", "PGPASSWORD=[redacted] psql"),
        (
            "aws_secret_access_key=/K7MDENG/bPxRfiCYEXAMPLEKEY+x=",
            "aws_secret_access_key=[redacted]",
        ),
        ("aws_secret_access_key=/K7MDENG/bPxRfiCYEXAMPLEKEY", "aws_secret_access_key=[redacted]"),
        ("aws_secret_access_key = x/y+z", "aws_secret_access_key = [redacted]"),
        (
            "aws configure set aws_secret_access_key X1",
            "aws configure set aws_secret_access_key [redacted]",
        ),
    ] {
        let after = left(text);
        if after != expected {
            wrong.push((text, expected, after));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_of_many_programs_are_known() {
    let mut wrong = Vec::new();
    for text in [
        "mysqldump --password X9",
        "psql postgres://u:X9@host/db",
        "psql 'postgres://u:X9@X9@host/db'",
        "redis-cli -u redis://:X9@host",
        "redis-cli -u redis://:X9/X9@host",
        "curl -H 'Authorization: token X9aa' h",
        "curl --header='Authorization: Bearer X9' h",
        "curl -H \"Authorization: X9aa\" h",
        "curl -H 'X-Api-Key: X9' h",
        "curl -H X-Api-Key:X9 h",
        "curl -H 'PRIVATE-TOKEN: X9' h",
        "curl -H 'X-Vault-Token: X9' h",
        "curl -H 'Cookie: a=X9; b=X9' h",
        "curl -b 'session=X9' h",
        "DB_PASS=X9 x",
        "MYSQL_PWD=X9 x",
        "gpg --passphrase X9 -d f",
        "REDISCLI_AUTH=X9 redis-cli",
        "RABBITMQ_DEFAULT_PASS=X9 x",
        "SECRET_KEY_BASE=X9 x",
        "DATADOG_APIKEY=X9 x",
        "SSH_PRIVATE_KEY=X9 x",
        "export DB_CONNECTION_STRING='Server=h;Password=X9;Db=d'",
        "x 'DefaultEndpointsProtocol=https;AccountKey=X9==;Suffix=s'",
        "x 'Endpoint=sb://h/;SharedAccessKey=X9='",
        "curl -d '{\"password\":\"X9\"}' h",
        "curl -d \"{\\\"password\\\":\\\"X9\\\"}\" h",
        "cat <<EOF > f\npassword: X9\nuser: u\nEOF",
        "cat <<'EOF' > f\n{\"db\": {\"password\": \"X9 X9\"}}\nEOF\nls",
        "echo 'password: X9' > f",
        "echo \"password: X9\" > f",
        "x xapp-1-X9abcdefgh",
        "x glpat-X9abcdefghijklmnopqr",
        "x glptt-X9abcdefghijklmnopqr",
        "x gldt-X9abcdefghijklmnopqr",
        "x glrt-X9abcdefghijklmnopqr",
        "x glcbt-X9abcdefghijklmnopqr",
        "x glsoat-X9abcdefghijklmnopqr",
        "x gho_X9abcdefghijklmnopqrstuv",
        "x github_pat_X9abcdefghijklmnopqrstuv",
        "x sk-X9abcdefghijklmnopqrstuv",
        "x sk_live_X9abcdefghijklmn",
        "x rk_live_X9abcdefghijklmn",
        "x npm_X9abcdefghijklmnopqrstuvwxyz0123456789",
        "x pypi-AgEIX9abcdefghijklmn",
        "x hvs.X9abcdefghijklmnopqr",
        "vault login s.X9abcdefghijklmnopqrstuv",
        "vault login X9",
        "vault kv put secret/app key=X9 b=X9",
        "vault write auth/approle/login role_id=X9 secret_id=X9",
        "x dop_v1_00000000000000000000000000000000X9",
        "x SG.X9abcdefghijklmnop.X9abcdefghijklmnop",
        "x AIzaX9abcdefghijklmnopqrstuvwxyz0123456",
        "x ya29.X9abcdefghijklmnop",
        "x ASIAX9AAAAAAAAAAAAAA",
        "docker login -u u -p X9 registry",
        "docker login -pX9 registry",
        "helm registry login -u u -p X9 registry",
        "openssl rsa -passin pass:X9 -in f",
        "openssl rsa -in f -passout pass:X9",
        "openssl enc -aes-256-cbc -pass pass:X9 -in f",
        "openssl enc -aes-256-cbc -k X9 -in f",
        "sshpass -pX9 ssh h",
        "sshpass -p 'X9 X9' ssh h",
        "psql 'postgresql://u:X9@h/d'",
        "psql \"host=x password=X9 user=y\"",
        "psql \"host=x user=y password='X9 X9'\"",
        "ldapsearch -x -D cn=a -w X9 -b dc=b",
        "smbclient //h/s -U user%X9",
        "htpasswd -b file user X9",
        "htpasswd -nb user X9",
        "htpasswd -bc file user X9",
        "kubectl --token=X9 get pods",
        "kubectl --token X9 get pods",
        "kubectl create secret generic n --from-literal=k=X9",
        "kubectl create secret generic n --from-literal k=X9",
        "kubectl create secret docker-registry n --docker-password=X9",
        "curl --user user:X9 h",
        "curl --user=user:X9 h",
        "curl -su user:X9 h",
        "curl -uuser:X9 h",
        "wget --password=X9 h",
        "wget --http-password X9 h",
        "http -a user:X9 h",
        "echo 'user:X9' | chpasswd",
        "echo user:X9 | sudo chpasswd",
        "chpasswd <<< 'user:X9'",
        "chpasswd <<EOF\nroot:X9\nbob:X9\nEOF",
        "echo X9 | passwd --stdin root",
        "echo -e 'X9\nX9' | passwd root",
        "echo -n X9 | docker login --password-stdin -u u r",
        "printf '%s' X9 | docker login --password-stdin -u u r",
        "echo X9 | sudo -S ls",
        "echo '-----BEGIN OPENSSH PRIVATE KEY-----\nX9\nX9\n-----END OPENSSH PRIVATE KEY-----' > k",
        "cat > k <<EOF\n-----BEGIN RSA PRIVATE KEY-----\nX9\n-----END RSA PRIVATE KEY-----\nEOF",
        "psql -c \"ALTER USER app WITH PASSWORD 'X9 X9'\"",
        "mysql -e \"CREATE USER a IDENTIFIED BY 'X9'\"",
        "mysql -e \"SET PASSWORD FOR 'a'@'%' = PASSWORD('X9')\"",
        "redis-cli AUTH X9",
        "redis-cli config set requirepass X9",
        "rabbitmqctl change_password u X9",
        "mc alias set m http://h access X9",
        "sqlplus system/X9@db",
        "zip -P X9 a.zip f",
        "keytool -list -storepass X9",
        "java -Djavax.net.ssl.keyStorePassword=X9 x",
        "npm config set //registry.npmjs.org/:_authToken X9",
        "npm config set //registry.npmjs.org/:_authToken=X9",
        "git -c http.extraheader='Authorization: Basic X9aa' clone h",
        "git config user.password X9",
        "helm upgrade r c --set auth.password=X9,auth.user=u",
        "helm upgrade r c --set=auth.password=X9",
        "export AWS_SESSION_TOKEN=X9",
        "x --dbPassword=X9 --clientSecret X9",
        "curl 'https://h/x?sig=X9&se=1'",
        "curl -d 'user=u&password=X9&x=1' h",
        "echo 'token = \"X9 X9\"' >> f.toml",
        "# don't: tool --password X9\nls",
        "timeout 5 mysql -uroot -pX9 -e 'select 1'",
        "ssh host \"PASSWORD=X9 tool\"",
        "ls; PASSWORD=X9; echo $PASSWORD",
        "ls && export TOKEN=X9 && tool",
        "cat <<< 'password=X9' > f",
        "mysqladmin -u root password X9",
        "openssl passwd -6 X9",
        "if [ \"$PASSWORD\" = X9 ]; then ls; fi",
        "[ ${DB_PASS} != 'X9 X9' ]",
        "echo 'machine h login u password X9' > ~/.netrc",
        "mongosh --eval 'db.auth(\"admin\",\"X9\")'",
        "php -r '$c = new PDO(\"mysql:host=h\", \"root\", \"X9\");'",
        "curl https://api.telegram.org/bot123456789:X9abcdefghijklmnopqrstuvwxyz012345/x",
        "redis-cli -h h -p 6379 AUTH u X9",
        "if true; then echo X9 | passwd --stdin u; fi",
        "(echo X9) | passwd --stdin u",
        "FOO=1 sudo -u a chpasswd <<< a:X9",
        "cat <<EOF | kubectl apply -f -\nstringData:\n  password: X9\n  token: 'X9 X9'\nEOF",
        "curl -H 'Content-Type: x' -H \"X-Auth-Token: X9\" -d '{\"token\": \"X9\", \"a\": 1}' h",
        "python3 -c 'import x; x.login(user=\"u\", password=\"X9 X9\")'",
        "node -e \"c({apiKey: 'X9', secret: 'X9'})\"",
        "perl -e '%h = (password => \"X9\")'",
        "kubectl set env deploy/x DB_PASSWORD=X9",
        "docker run -e POSTGRES_PASSWORD=X9 -e A=b i",
        "env A=b TOKEN=X9 tool",
        "TOKEN='X9 $HOME' tool",
        "TOKEN=\"X9$HOME\" tool",
        "mysql --password='X9' --user=u",
        "mount -t cifs //h/s /mnt -o username=u,password=X9,uid=0",
        "sqlcmd -S h -U sa -P 'X9 X9' -Q 'select 1'",
        "curl -x u:X9@proxy:3128 https://h/",
        "curl --proxy http://u:X9@proxy:3128 https://h/",
        "curl --proxy=u:X9@proxy https://h/",
        "git clone https://X9abcdefghijklmnopqrstuvwxyz@github.com/a/b",
        "curl -d '<login><user>u</user><password>X9 X9</password></login>' h",
        "curl -d '<ns:apiKey>X9</ns:apiKey>' h",
        "P=X9; mysql -uroot -p$P app",
        "P='X9 X9' && mysql -uroot -p\"$P\" app",
        "export U=u P=X9; curl -u \"$U:${P}\" h",
        "x=X9; tool --password \"$x\"",
        "read -s P <<< X9; mysql -p$P",
        "A=X9; B=$A; mysql -p$B",
        "A=X9 && B=\"$A\" && C=${B} && mysql -p\"$C\"",
        "mysql -p${P:-X9}",
        "P=${Q:-X9}; mysql -p$P",
        "Q=X9; mysql -p${P:-$Q}",
        "P=$(echo X9); mysql -p$P",
        "P=`printf %s X9`; mysql -p$P",
        "mysql -p\"$(echo 'X9 X9')\"",
        "for P in X9; do mysql -p$P; done",
        "for P in a9 'X9'\ndo\nmysql -p\"$P\"\ndone",
        "read P <<< X9; mysql -p$P",
        "echo X9 | while read -r P; do mysql -p$P; done",
        "read P <<E\nX9\nE\nmysql -p$P",
        "printf -v P %s X9; mysql -p$P",
        "printf -v P X9; mysql -p$P",
        "set -- X9; mysql -p$1",
        "set -- a9 X9; mysql -p\"$2\"",
        "export P=X9; mysql -p$P",
        "declare -x P=X9; mysql -p$P",
        "readonly P=X9; mysql -p$P",
        "env P=X9 sh -c 'mysql -p$P'",
        "if true; then P=X9; fi; mysql -p$P",
        "{ P=X9; mysql -p$P; }",
        "while :; do P=X9; mysql -p$P; done",
        "if a; then b; else P=X9; fi; mysql -p$P",
        "if a; then printf -v P X9; fi; mysql -p$P",
        "while :; do for P in X9; do mysql -p$P; done; done",
        "if a; then export P=X9; fi; mysql -p$P",
        "sudo P=X9 sh -c 'mysql -p$P'",
        "sudo -u app env P=X9 sh -c 'mysql -p$P'",
        "docker run -e P=X9 i sh -c 'mysql -p$P'",
        "docker run --env=P=X9 i sh -c 'mysql -p$P'",
        "sh -c 'mysql -p$1' sh X9",
        "echo '<user name=\"a\" password=\"X9\"/>' > f",
        "curl -d '<add password='\\''X9'\\''/>' h",
        "echo '<property name=\"db.password\" value=\"X9\"/>' > f",
        "echo '<property name=\"db.password\" value=\"Pa$$X9\"/>' > f",
        "echo '<property value=\"X9\" name=\"db.password\"/>' > f",
        "echo X9 | read -rs P",
        "ftp -n h <<EOF\nuser bob X9\nput f\nEOF",
        "printf 'user bob X9\nbye\n' | ftp -n h",
        "ftp -n h <<EOF\nquote USER bob\nquote PASS X9\nEOF",
        "psql <<EOF\nALTER USER app PASSWORD 'X9';\nEOF",
        "psql <<'EOF'\nCREATE ROLE app LOGIN PASSWORD 'X9 X9';\nEOF",
        "echo 'h:5432:db:app:X9' > ~/.pgpass",
        "echo '*:*:*:app:X9:X9' | tee ~/.pgpass",
        "cat > /root/.pgpass <<EOF\nh:5432:db:app:X9\nEOF",
        "curl 'https://h/maps?a=b&key=X9abcdefghijklmnop'",
        "curl https://h/?api_key=X9",
        "wget \"https://h/x?access_token=X9&b=c\"",
        "echo 'spring.datasource.password=X9' >> /app/x.properties",
        "sed -i 's/password=.*/password=X9/' f",
    ] {
        let after = left(text);
        if after.contains("X9") || !after.contains(REDACTED) || left(&after) != after {
            wrong.push((text, after));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn paths_and_what_only_looks_like_a_secret_stay() {
    let mut wrong = Vec::new();
    for text in [
        "cat /var/run/secrets/kubernetes.io/serviceaccount/token",
        "x --token-file=/run/secrets/token",
        "x --token=$(cat /run/secrets/token)",
        "cat password.txt",
        "mysqladmin ping -p",
        "mysql -P 3306",
        "mysqladmin ping -p$MYSQL_ROOT_PASSWORD",
        "cat ${PWD:0:1}etc/passwd",
        "PWD=/etc sh",
        "tool /x/env P=etc-shadow; mysql -p$P",
        "sudo tool P=etc-shadow; mysql -p$P",
        "tool then P=etc-shadow; mysql -p$P",
        "echo '<property name=\"db.password\" value=\"${DB_PASSWORD}\"/>' > f",
        "curl -u user h",
        "echo token",
        "kubectl get secret db-password",
        "ls -p /etc",
        "ls secrets=1",
        "TOKEN=/var/run/secrets/x/token tool",
        "tool --password-file /abc",
        "tool --token-path x",
        "PGPASSFILE=x psql",
        "tool --password /run/x",
        "tool --token ./token",
        "tool --token ~/.token",
        "TOKEN=$(cat /x)",
        "TOKEN=`cat /x`",
        "TOKEN=\"$(cat /x)\"",
        "TOKEN=$HOME/.token",
        "tool --password \"$PASSWORD\"",
        "tool --password ${PASSWORD}",
        "curl -u $USER:$PASSWORD h",
        "curl -u \"$USER:$PASSWORD\" h",
        "curl -H \"Authorization: Bearer $TOKEN\" h",
        "curl -H \"Authorization: Bearer $(cat /run/token)\" h",
        "curl http://localhost:8080/a/@b/c",
        "psql postgres://u:$PASSWORD@h/d",
        "docker run -v /x/token:ro i",
        "grep -r password /app",
        "grep 'password=' /app/x",
        "sed s/password=.*/x/ f",
        "kubectl create secret generic n --from-file=x",
        "kubectl get secret -n token",
        "read -s -p 'Enter password: ' x; echo done",
        "echo \"Enter password: \"; read x; ls \"y\"",
        "MAX_TOKENS=100 tool --max-tokens 5",
        "PASSWORD_MIN_LENGTH=8 TOKEN_TTL=1h tool",
        "tool --no-password --skip-password x",
        "mysqldump --password --host h",
        "USE_PASSWORD=yes REQUIRE_TOKEN=true tool",
        "BYPASS=abc compass=def x",
        "openssl x509 -in a -passin env:X",
        "openssl s_client -connect h:443 -servername x",
        "curl -b cookies.txt h",
        "mkdir -p /x; mysql -P 3306 -h h",
        "cp -p a b; docker run -p 80:80 x",
        "printf 'password=%s' \"$X\"",
        "jq .token f",
        "basic information about tokens",
        "grep -i password: config.yaml",
        "echo 'root:x' | grep passwd",
        "redis-cli hget auth user",
        "docker build --secret id=npm,src=/run/npmrc .",
        "helm repo add r h --pass-credentials",
        "kubectl get pods -o custom-columns=TOKEN:.data.token",
        "GIT_ASKPASS=askpass.sh git clone h",
        "vault kv get secret/app",
        "vault status -format=json",
        "openssl enc -aes-256-cbc -pass file:/run/pw",
        "curl -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' h",
        "kubectl config set-credentials u",
        "grep -oP 'token\":\"\\K[^\"]+' f",
        "jq '{token: .x, password: .y}' f",
        "awk -F= '/^PASSWORD=/{print $2}' .env",
        "[ -z \"$TOKEN\" ] && exit 1",
        "curl -x proxy:3128 h",
        "curl -x http://proxy:3128 h",
        "git clone https://github.com/a/b",
        "curl 'https://h/?key=name'",
        "curl 'https://h/?key=kubernetes-deployments'",
        "skopeo inspect docker://a-registry-with-a-long-name@sha256:0123456789abcdef",
        "ssh ssh://a_user_of_a_long_name_indeed@host",
        // Whoever writes a command chooses what its words are called.
        "dd if=etc-shadow; mysql -p$if",
        "tool P=etc-shadow; mysql -p$P",
        "tool x=1 P=etc-shadow; mysql -p$P",
        "P=$(cat /run/x); mysql -p$P",
        "for P in /etc/a /etc/b; do mysql -p$P; done",
        "set -- etc-shadow; cat $1",
        "echo 10:20:30:40:50",
        "cat ~/.pgpass; date +%H:%M",
        "ftp -n h <<EOF\nuser anonymous\nput f\nEOF",
        "a=b1c2; echo $a",
        "P=/run/x; mysql -p\"$(cat $P)\"",
        "F=/run/pw; tool --password $F",
    ] {
        let after = left(text);
        if after != text {
            wrong.push((text, after));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn whatever_repeats_the_command_is_rewritten_too() {
    let argv = ["mysql", "--password", "hun ter2", "-e", "source /etc/shadow"];
    let mut before = finding(&argv);
    let span = before.exec.text.find("/etc/shadow").unwrap();
    before.matches = vec![Match {
        reads: Some("hun ter2".to_owned()),
        steps: vec!["glob hun can".to_owned()],
        ..Match::as_written("etc-shadow", span..span + "/etc/shadow".len())
    }];
    let after = redaction().apply(before);
    assert_eq!(after.exec.argv, ["mysql", "--password", "[redacted]", "-e", "source /etc/shadow"]);
    assert_eq!(&after.exec.text[after.matches[0].span.clone()], "/etc/shadow");
    let uri = after.event.request_uri.unwrap().into_owned();
    assert!(uri.contains("command=%5Bredacted%5D&command="), "{}", uri.as_str());
    assert!(uri.ends_with("&container=c&x=%zz"), "{}", uri.as_str());
    // The others are as they were sent.
    assert!(uri.contains("?command=%6D%79%73%71%6C&"), "{}", uri.as_str());
}

/// The servers drop what is malformed, but the log has it; `cmd` is nothing to a pod's exec.
#[test]
fn every_parameter_of_the_request_is_gone_over() {
    let mut before = finding(&["mysql", "-phunter2"]);
    before.event.request_uri = Some(
        "/exec?cmd=a&command=mysql&command=-phunter2&command=%zz+--password%3Dhunter2+x\
         &command=PASSWORD%3Dhunter2;&x=https://u:hunter2@h/"
            .into(),
    );
    let uri = redaction().apply(before).event.request_uri.unwrap();
    assert_eq!(
        uri.as_str(),
        "/exec?cmd=a&command=mysql&command=-p%5Bredacted%5D\
         &command=%25zz%20--password%3D%5Bredacted%5D%20x\
         &command=PASSWORD%3D%5Bredacted%5D%3B&x=https%3A%2F%2Fu%3A%5Bredacted%5D%40h%2F"
    );
}

#[test]
fn a_kubelet_run_has_all_its_words_in_one_parameter() {
    let mut before = finding(&["mysql", "--password", "'a", "b1'", "-e", "x"]);
    before.exec.via = ExecVia::NodesProxyRun;
    before.event.request_uri =
        Some("/proxy/run/n/p/c?cmd=mysql+--password+'a+b1'+-e+x&tty=1".into());
    let after = redaction().apply(before);
    assert_eq!(after.exec.argv, ["mysql", "--password", "[redacted]", "[redacted]'", "-e", "x"]);
    let uri = after.event.request_uri.unwrap();
    let start = "/proxy/run/n/p/c?cmd=mysql%20--password%20%5Bredacted%5D%20%5Bredacted%5D%27%20-e";
    assert_eq!(uri.as_str(), format!("{start}%20x&tty=1"));
}

#[test]
fn an_event_that_is_told_of_without_its_command_is_redacted_too() {
    let before = finding(&["mysql", "-phunter2"]);
    let (mut event, exec) = (before.event, before.exec);
    redaction().apply_to_event(&mut event, &exec);
    assert!(!event.request_uri.unwrap().as_str().contains("%68%75%6E%74%65%72"));
}

#[test]
fn a_secret_that_comes_up_again_is_hidden_where_it_stands_alone() {
    for (text, expected) in [
        ("PASSWORD=hunter2; echo hunter2", "PASSWORD=[redacted]; echo [redacted]"),
        ("PASSWORD=hunter2; echo 'x:hunter2,'", "PASSWORD=[redacted]; echo 'x:[redacted],'"),
        (
            "PASSWORD=hunter2; cat /x/hunter2 hunter2.txt",
            "PASSWORD=[redacted]; cat /x/hunter2 hunter2.txt",
        ),
        ("PASSWORD=root; mysql -u root", "PASSWORD=[redacted]; mysql -u root"),
    ] {
        assert_eq!(left(text), expected);
    }
}

#[test]
fn a_secret_over_two_arguments_leaves_as_many_as_there_were() {
    let redaction = Redaction::compile(false, &["b c".to_owned()]).unwrap();
    let after = redaction.apply(finding(&["a b", "c d"]));
    assert_eq!(after.exec.argv, ["a [redacted]", "[redacted] d"]);
    assert_eq!(after.exec.text, "a [redacted] [redacted] d");
}

#[test]
fn a_label_that_repeats_the_command_is_rewritten() {
    let mut before = fixtures::gke_exec();
    before.exec.text = "mysql  -phunter2 x".to_owned();
    before.exec.argv = vec!["mysql".to_owned(), "-phunter2".to_owned(), "x".to_owned()];
    before.matches.clear();
    let label = Text::from("command.gke.io/command");
    before.event.annotations.as_mut().unwrap().insert(label.clone(), "mysql  -phunter2 x".into());
    let after = redaction().apply(before);
    assert_eq!(after.exec.argv, ["mysql", "-p[redacted]", "x"]);
    assert_eq!(after.event.annotations.unwrap()[&label].as_str(), "mysql  -p[redacted] x");
}

#[test]
fn own_patterns_come_beside_the_defaults_and_wrong_ones_are_named() {
    let own = Redaction::compile(true, &["card-(?<secret>[0-9]+)".to_owned()]).unwrap();
    let after = own.apply(finding(&["x card-4711", "--password=hunter2"]));
    assert_eq!(after.exec.argv, ["x card-[redacted]", "--password=[redacted]"]);
    let error = Redaction::compile(false, &["(".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("`(`"), "{error}");
    assert!(Redaction::compile(false, &[".*".to_owned()]).is_err());
    let before = finding(&["x", "--password=hunter2"]);
    assert_eq!(Redaction::none().apply(before.clone()), before);
}

#[test]
fn every_place_of_the_text_has_one_in_what_is_left() {
    let exec = finding(&["ab", "cdef", "g"]).exec;
    let cut = Cut::new(&exec, &[1..2, 4..6]);
    assert_eq!(cut.text, "a[redacted] c[redacted]f g");
    let places: Vec<(usize, usize)> =
        (0..=exec.text.len()).map(|at| (cut.place(at, false), cut.place(at, true))).collect();
    assert_eq!(
        places,
        [
            (0, 0),
            (1, 1),
            (11, 11),
            (12, 12),
            (13, 13),
            (13, 23),
            (23, 23),
            (24, 24),
            (25, 25),
            (26, 26),
        ]
    );
}

#[test]
fn a_path_that_a_match_reads_stays_in_sight() {
    let mut before = finding(&["sh", "-c", "P=etc/sha'dow'; mysql -p$P; cd /; cat $P"]);
    before.matches = vec![Match {
        reads: Some("etc/shadow".to_owned()),
        ..Match::as_written("etc-shadow", 0..0)
    }];
    let after = redaction().apply(before);
    assert_eq!(after.matches[0].reads.as_deref(), Some("etc/shadow"));
    assert!(!after.exec.text.contains("etc/sha"), "{}", after.exec.text);
}
