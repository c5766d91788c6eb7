//! The status page: three files that are part of the program and ask for nothing from elsewhere.
//!
//! What events say is put in as text alone: the page has no inline script, its policy allows none,
//! and its script writes nothing but text into the document.

pub struct File {
    pub content_type: &'static str,
    pub text: &'static str,
}

/// Scripts, styles and answers come from this server, nothing else does, and nobody frames it.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                          require-trusted-types-for 'script'";

pub fn file(path: &str) -> Option<File> {
    let (content_type, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page/status.html")),
        "/status.js" => ("text/javascript; charset=utf-8", include_str!("page/status.js")),
        "/status.css" => ("text/css; charset=utf-8", include_str!("page/status.css")),
        _ => return None,
    };
    Some(File { content_type, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_no_inline_script_and_asks_for_nothing_from_elsewhere() {
        let html = file("/").unwrap().text;
        assert_eq!(html.matches("<script").count(), 1);
        assert!(html.contains("<script src=\"status.js\" defer></script>"));
        assert!(html.contains("<html lang=\"en\">") && html.contains("name=\"viewport\""));
        for path in ["/", "/status.js", "/status.css"] {
            let text = file(path).unwrap().text;
            for foreign in
                ["http:", "https:", "//cdn", "url(", "@import", "style=\"", "javascript:"]
            {
                assert!(!text.contains(foreign), "{path}: {foreign}");
            }
        }
        for event in ["onload", "onclick", "onerror", "onmouse"] {
            assert!(!html.contains(event), "{event}");
        }
    }

    #[test]
    fn what_comes_from_events_can_only_become_text() {
        let script = file("/status.js").unwrap().text;
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval",
            "Function(",
            "DOMParser",
            "createContextualFragment",
            "setTimeout(\"",
            "srcdoc",
            ".href",
            ".src",
            "setAttribute(\"on",
            "setHTML",
        ] {
            assert!(!script.contains(way), "{way}");
        }
        assert!(script.contains("textContent"));
        for source in ["'unsafe-inline'", "'unsafe-eval'", "*", "data:"] {
            assert!(!POLICY.contains(source), "{source}");
        }
    }
}
