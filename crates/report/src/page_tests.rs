use super::*;

#[test]
fn nothing_in_the_figures_can_end_their_block() {
    let text =
        serde_json::to_string("</script><img src=x onerror=alert(1)>&\u{2028}").expect("JSON");
    let escaped = escape_json(&text);
    assert!(!escaped.contains(['<', '>', '&', '\u{2028}']), "{escaped}");
    let back: String = serde_json::from_str(&escaped).expect("still JSON");
    assert_eq!(back, "</script><img src=x onerror=alert(1)>&\u{2028}");
}

#[test]
fn the_policy_names_each_script_and_the_style_by_its_hash() {
    let page = html(&[]);
    let policy = page
        .split_once("content=\"default-src")
        .expect("a policy")
        .1;
    let policy = policy.split_once("\">").expect("its end").0;
    assert!(!policy.contains("unsafe"), "{policy}");
    for tag in ["<script>", "<script type=\"module\">", "<style>"] {
        let end = if tag == "<style>" {
            "</style>"
        } else {
            "</script>"
        };
        for part in page.split(tag).skip(1) {
            let text = part.split_once(end).expect("its end").0;
            assert!(policy.contains(&hash(text)), "{tag} {}", &text[..60]);
        }
    }
}

#[test]
fn what_is_inlined_can_not_end_its_own_tag_and_looks_for_nothing_else() {
    for text in [
        modules(),
        script("a", UPLOT_LICENCE, UPLOT),
        script("b", DAGRE_LICENCE, DAGRE),
    ] {
        assert!(!text.contains("</script"), "a script ends its own tag");
        assert!(!text.contains("<!--"), "a script begins a comment of HTML");
        assert!(!text.contains("sourceMappingURL="));
    }
    assert!(!STYLE.contains("url("), "a style loads something");
}

#[test]
fn modules_name_only_modules_that_stand_before_them() {
    let mut before: Vec<&str> = Vec::new();
    for (name, text) in MODULES {
        for from in parts(text).0 {
            assert!(
                before.contains(&from),
                "{name} imports {from}, which stands behind it"
            );
        }
        before.push(name);
    }
}

#[test]
fn what_is_vendored_is_what_its_readme_says() {
    let readme = include_str!("../vendor/README.md");
    for (name, text) in [
        ("uPlot.iife.min.js", UPLOT),
        ("uPlot.min.css", UPLOT_STYLE),
        ("dagre.min.js", DAGRE),
    ] {
        let sum: String = Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(
            readme.contains(&format!("{sum}  {name}")),
            "{name} is {sum}"
        );
    }
}

#[test]
fn no_two_modules_export_the_same_name() {
    let mut names: Vec<&str> = MODULES.iter().flat_map(|(_, text)| exports(text)).collect();
    let all = names.len();
    assert!(all > 30, "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
