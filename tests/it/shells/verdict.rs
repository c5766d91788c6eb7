//! Whether a reading tells what the shells did.

use kubetell::audit::shell::pattern::Pattern;
use kubetell::audit::shell::read;
use kubetell::audit::shell::reading::{Access, Reach, Reading};
use kubetell::audit::shell::text::Text;

use super::script::Script;
use super::tree::{FILES, Truth};

/// What is wrong with the reading of a script.
pub enum Complaint {
    /// About what shells do that speak the script's dialect.
    Real(String),
    /// About what one does that takes bash's constructs for something else.
    Accident(String),
}

/// What is wrong with the reading of a script, if anything is.
pub fn complaint(root: &str, script: &Script, truth: &Truth) -> Option<Complaint> {
    let argv = ["sh", "-c", &script.text].map(str::to_owned);
    let reading = read(&argv);
    let missed = |opened| untold(root, &reading, opened);
    let real = missed(truth.by_speakers(script.dialect));
    let real = real.or_else(|| unopened(root, script, truth, &reading));
    real.map(Complaint::Real).or_else(|| missed(truth.any()).map(Complaint::Accident))
}

/// A file that was opened, as a bit in `opened`, and that no access of the reading covers.
fn untold(root: &str, reading: &Reading, opened: u32) -> Option<String> {
    for (_, file) in FILES.iter().enumerate().filter(|(at, _)| opened & 1 << at != 0) {
        let path = format!("{root}/{file}");
        let covering: Vec<&Access> =
            reading.accesses.iter().filter(|access| covers(root, access, &path)).collect();
        if covering.is_empty() {
            return Some(format!("{file} is opened and not told{}", shown(reading)));
        }
        // What may be anything says nothing, and raises no alert.
        if covering.iter().all(|access| access.path.as_str().is_empty()) {
            return Some(format!("{file} is opened and told as anything{}", shown(reading)));
        }
    }
    None
}

/// A file that is told as certain, and that no shell opened.
fn unopened(root: &str, script: &Script, truth: &Truth, reading: &Reading) -> Option<String> {
    // A pattern may stand for one word or for several: which word is which is not known then.
    let patterns = reading.accesses.iter().any(|access| !access.path.is_literal());
    if !script.pure || truth.timed_out || patterns {
        return None;
    }
    let opened = truth.any();
    for access in reading.accesses.iter().filter(|access| access.reach == Reach::Named) {
        // One that is relative is told for the case that the directory is another.
        let Some(path) = access.path.as_literal() else { continue };
        let file = path.strip_prefix(root).and_then(|file| file.strip_prefix('/'));
        let Some(at) = FILES.iter().position(|known| Some(*known) == file) else { continue };
        if opened & 1 << at == 0 {
            return Some(format!("{} is told and not opened{}", FILES[at], shown(reading)));
        }
    }
    None
}

fn covers(root: &str, access: &Access, path: &str) -> bool {
    let whole = if access.path.as_str().starts_with('/') || access.path.has_hole() {
        access.path.clone()
    } else {
        let mut whole = Text::literal(format!("{root}/"));
        whole.append(&access.path);
        whole
    };
    let pattern = Pattern::new(&whole);
    match access.reach {
        Reach::Named => pattern.matches(path),
        Reach::Listed => false,
        Reach::Walked | Reach::Searched => {
            let leaf = path.rsplit('/').next().unwrap_or_default();
            let named = access.name.as_ref();
            let fits = named.is_none_or(|name| Pattern::new(name).with_dots().matches(leaf));
            let above = path.match_indices('/').map(|(at, _)| &path[..at.max(1)]);
            let mut places = above.chain([path]);
            fits && places.any(|place| pattern.matches(place) || place == whole.as_str())
        }
    }
}

fn shown(reading: &Reading) -> String {
    let paths: Vec<String> = reading
        .accesses
        .iter()
        .take(20)
        .map(|access| format!("{:?} {}", access.reach, access.path))
        .collect();
    let hidden: Vec<&str> = reading.hidden.iter().map(|hidden| hidden.why.as_str()).collect();
    format!(": {paths:?} {hidden:?}")
}
