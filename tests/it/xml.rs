//! A strict reader of the XML that this program writes: a declaration, elements, attributes in
//! double quotes, text, the five named references, no numbered ones. Whatever else is met is an
//! error, and so is anything that XML 1.0 does not allow.
#![allow(clippy::panic)]

#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    pub text: String,
}

impl Element {
    pub fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("`{}` has no `{name}`", self.name), |(_, value)| value)
    }

    /// The elements of this name below, in their order.
    pub fn all(&self, name: &str) -> Vec<&Element> {
        let below = self.children.iter().flat_map(|child| {
            let this = (child.name == name).then_some(child);
            this.into_iter().chain(child.all(name))
        });
        below.collect()
    }
}

pub fn parse(document: &str) -> Result<Element, String> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    if let Some(c) = document.chars().find(|c| !allowed(*c)) {
        return Err(format!("{c:?} is no character of XML"));
    }
    let declaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let mut rest = document.strip_prefix(declaration).ok_or("no declaration")?;
    let root = element(&mut rest)?;
    match rest.trim() {
        "" => Ok(root),
        more => Err(format!("behind the root: {more:?}")),
    }
}

fn element(rest: &mut &str) -> Result<Element, String> {
    *rest = rest.strip_prefix('<').ok_or_else(|| format!("no element at {rest:.20?}"))?;
    let mut element = Element { name: name(rest)?, ..Element::default() };
    loop {
        if let Some(after) = rest.strip_prefix("/>") {
            *rest = after;
            return Ok(element);
        }
        if let Some(after) = rest.strip_prefix('>') {
            *rest = after;
            break;
        }
        let trimmed = rest.trim_start();
        if trimmed.len() == rest.len() {
            return Err(format!("no space before an attribute of `{}`", element.name));
        }
        *rest = trimmed;
        let key = name(rest)?;
        *rest = rest.strip_prefix("=\"").ok_or_else(|| format!("no value of `{key}`"))?;
        let (value, after) = rest.split_once('"').ok_or_else(|| format!("no end of `{key}`"))?;
        *rest = after;
        if element.attributes.iter().any(|(known, _)| *known == key) {
            return Err(format!("`{key}` stands twice"));
        }
        element.attributes.push((key, decoded(value)?));
    }
    let end = format!("</{}>", element.name);
    loop {
        let (text, _) =
            rest.split_once('<').ok_or_else(|| format!("no end of `{}`", element.name))?;
        element.text.push_str(&decoded(text)?);
        *rest = rest.get(text.len()..).unwrap_or_default();
        if let Some(after) = rest.strip_prefix(end.as_str()) {
            *rest = after;
            return Ok(element);
        }
        element.children.push(self::element(rest)?);
    }
}

fn name(rest: &mut &str) -> Result<String, String> {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(format!("no name at {rest:.20?}"));
    }
    *rest = after;
    Ok(name.to_owned())
}

fn decoded(text: &str) -> Result<String, String> {
    if text.contains('<') || text.contains("]]>") {
        return Err(format!("not escaped: {text:?}"));
    }
    let mut parts = text.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (reference, after) = part.split_once(';').ok_or_else(|| format!("a bare &{part:?}"))?;
        match reference {
            "amp" => out.push('&'),
            "lt" => out.push('<'),
            "gt" => out.push('>'),
            "quot" => out.push('"'),
            "apos" => out.push('\''),
            other => return Err(format!("the reference `{other}`")),
        }
        out.push_str(after);
    }
    Ok(out)
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let check = |body: &str| parse(&format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"));
    let good = check("<a b=\"1 &lt;\"><c/>x &amp; y<c>z</c></a>").unwrap();
    assert_eq!((good.attribute("b"), good.text.as_str()), ("1 <", "x & y"));
    assert_eq!(good.all("c")[1].text, "z");
    for bad in [
        "<a>",
        "<a></b>",
        "<a b=\"<\"/>",
        "<a>&</a>",
        "<a>&nbsp;</a>",
        "<a>\u{1}</a>",
        "<a/><b/>",
        "<a b=\"1\" b=\"2\"/>",
        "<a>]]></a>",
        "<1/>",
        "<a b=1/>",
        "",
    ] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
