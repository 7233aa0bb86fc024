//! Relative links and anchors in Markdown lead somewhere. Links to other hosts are not followed.

use std::collections::{BTreeMap, BTreeSet};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::finding::Finding;

/// The anchors of a page: its headings as the usual viewers number them.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                let times = seen.entry(slug.clone()).or_default();
                anchors.insert(if *times == 0 {
                    slug
                } else {
                    format!("{slug}-{times}")
                });
                *times += 1;
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// Judges the links of one page. `pages` holds the text of every Markdown file, `files` every file.
pub fn check(
    file: &str,
    pages: &BTreeMap<String, String>,
    files: &BTreeSet<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let text = pages.get(file).map_or("", String::as_str);
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter();
    for (event, range) in parser {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        if dest_url.contains("://") || dest_url.starts_with("mailto:") {
            continue;
        }
        let line = text[..range.start].matches('\n').count() + 1;
        if let Some(message) = judge(file, &dest_url, pages, files) {
            findings.push(Finding::error(file, Some(line), message));
        }
    }
    findings
}

fn judge(
    file: &str,
    link: &str,
    pages: &BTreeMap<String, String>,
    files: &BTreeSet<String>,
) -> Option<String> {
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() {
        file.to_owned()
    } else {
        match resolve(file, path) {
            Some(target) => target,
            None => return Some(format!("`{link}` leaves the repository")),
        }
    };
    let folder = format!("{target}/");
    let exists = target.is_empty()
        || files.contains(&target)
        || files.iter().any(|file| file.starts_with(&folder));
    if !exists {
        return Some(format!("`{link}` leads nowhere: there is no {target}"));
    }
    let anchor = anchor?;
    let page = pages.get(&target)?;
    (!anchors(page).contains(anchor))
        .then(|| format!("`{link}`: {target} has no heading `#{anchor}`"))
}

/// `path` as seen from the folder of `file`, relative to the root; `None` when it leaves the root.
fn resolve(file: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    if path.starts_with('/') {
        parts.clear();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str) -> Vec<String> {
        let pages = BTreeMap::from([
            ("docs/a.md".to_owned(), page.to_owned()),
            (
                "README.md".to_owned(),
                "# Tide `log`: a tour\n## Run\n## Run\n".to_owned(),
            ),
        ]);
        let mut files: BTreeSet<String> = pages.keys().cloned().collect();
        files.insert("examples/shop/log.yaml".to_owned());
        check("docs/a.md", &pages, &files)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn accepts_files_folders_anchors_and_other_hosts() {
        let page = "# Top\n[a](../README.md) [b](../examples/shop) [c](../README.md#tide-log-a-tour) [d](#top)\n\
                    [e](https://example.org/x) [f](../README.md#run-1) `[g](nowhere.md)`\n";
        assert_eq!(found(page), Vec::<String>::new());
    }

    #[test]
    fn refuses_a_dead_file_a_dead_anchor_and_a_way_out() {
        let page = "[a](nowhere.md)\n\n[b](../README.md#walk)\n\n![c](../../out.png)\n\n[r]\n\n[r]: gone.md\n";
        let found = found(page);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(
            found[0].contains("docs/a.md:1: `nowhere.md` leads nowhere"),
            "{found:?}"
        );
        assert!(
            found[1].contains("docs/a.md:3:") && found[1].contains("no heading `#walk`"),
            "{found:?}"
        );
        assert!(found[2].contains("leaves the repository"), "{found:?}");
        assert!(found[3].contains("gone.md"), "{found:?}");
    }
}
