//! Files that would take all time and memory, or that YAML makes something else of than they seem.

use std::time::Duration;

use super::{SCENARIO, with_change, with_scenario};

/// The scenario with something in a pod's overlay, at the place of its attack.
fn with_overlay(spec: &str) -> String {
    with_change(
        "do: {exec: {command: [probe, cat], stdin: true}}",
        &format!("do: {{pod: {{spec: {spec}}}}}"),
    )
}

#[test]
fn a_thousand_mistakes_take_less_than_a_second() {
    let attack = "- {name: NAME, as: nobody, do: {exec: {command: [x]}}, blocked: {by: nothing}}\n";
    let attacks: String =
        (0..500).map(|number| attack.replace("NAME", &number.to_string())).collect();
    let mistaken = format!("attacks:\n{attacks}");
    let began = on_processor();
    let said = with_change("attacks:\n", &mistaken);
    // 20 s when the file was parsed again for each mistake.
    let took = on_processor() - began;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(said.matches("there is no persona `nobody`").count(), 10);
    assert!(said.ends_with("\n\nand 980 more problems"), "{}", &said[said.len() - 200..]);
}

/// How long this thread was on a processor: how busy the machine is with something else must not count.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let nanoseconds = text.split(' ').next().expect("a number");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}

#[test]
fn a_name_as_long_as_a_file() {
    let said = with_change("as: operator", &format!("as: {}", "x".repeat(900_000)));
    assert!(said.len() < 10_000, "{}", said.len());
}

#[test]
fn too_deep() {
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    insta::assert_snapshot!(with_overlay(&format!("{{a: {deep}}}")), @"
mine/exec/mine.yaml:8:82: lists and maps are nested deeper than 64 levels
  8 | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]
    |                                                   ^
  what is read is limited, so that no file can take all time and memory
");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    insta::assert_snapshot!(with_overlay(&format!("{{a: {deep}}}")), @"
mine/exec/mine.yaml:8:276: lists and maps are nested deeper than 64 levels
  8 | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
    |                                                   ^
  what is read is limited, so that no file can take all time and memory
");
}

#[test]
fn too_many_values() {
    let many = "x, ".repeat(110_000);
    insta::assert_snapshot!(with_overlay(&format!("{{a: [{many}]}}")), @"
mine/exec/mine.yaml:8:299953: the file holds more than 100000 values
  8 | , x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x,
    |                                                   ^
  what is read is limited, so that no file can take all time and memory
");
}

#[test]
fn a_billion_laughs() {
    let mut laughs = "{a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]".to_owned();
    for level in 1..10 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        laughs.push_str(&format!(", a{level}: &a{level} [{below}]"));
    }
    laughs.push('}');
    insta::assert_snapshot!(with_overlay(&laughs), @"
mine/exec/mine.yaml:8:66: the file holds more than 100000 values
  8 | ec: {a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha], a1: &a1 [*a0, *a0, *a0, *a0, *a0, *a0, *a0, *
    |                                                   ^
  what is read is limited, so that no file can take all time and memory
");
}

#[test]
fn numbers_that_are_none() {
    insta::assert_snapshot!(with_overlay("{a: 1e309}"), @"
mine/exec/mine.yaml:8:24: `1e309` is no number that JSON can hold
  8 |   do: {pod: {spec: {a: 1e309}}}
    |                        ^
  write another number, or a text in quotes
");
    insta::assert_snapshot!(with_overlay("{a: .nan}"), @"
mine/exec/mine.yaml:8:24: `.nan` is no number that JSON can hold
  8 |   do: {pod: {spec: {a: .nan}}}
    |                        ^
  write another number, or a text in quotes
");
}

#[test]
fn an_overlay_that_is_no_map() {
    insta::assert_snapshot!(with_overlay("[1]"), @"
mine/exec/mine.yaml:8:14: expected keys with values
  8 |   do: {pod: {spec: [1]}}
    |              ^
  write `key: value`
");
    insta::assert_snapshot!(with_overlay("text"), @"
mine/exec/mine.yaml:8:20: expected keys with values
  8 |   do: {pod: {spec: text}}
    |                    ^
  write `key: value`
");
    insta::assert_snapshot!(with_change("exec: {command: [probe, cat], stdin: true}", "ephemeral: {container: [1]}"), @"
mine/exec/mine.yaml:8:20: expected keys with values
  8 |   do: {ephemeral: {container: [1]}}
    |                    ^
  write `key: value`
");
}

#[test]
fn tags_keys_and_merges() {
    insta::assert_snapshot!(with_overlay("{a: !mine x}"), @"
mine/exec/mine.yaml:8:30: the tag `!mine` means nothing here
  8 |   do: {pod: {spec: {a: !mine x}}}
    |                              ^
  remove it
");
    insta::assert_snapshot!(with_overlay("{a: !!binary '%'}"), @"
mine/exec/mine.yaml:8:33: `!!binary` is not followed by a text in base64
  8 |   do: {pod: {spec: {a: !!binary '%'}}}
    |                                 ^
  write the text itself, without `!!binary`
");
    insta::assert_snapshot!(with_overlay("{a: 1, a: 2}"), @"
mine/exec/mine.yaml:8:27: key `a` appears twice
  8 |   do: {pod: {spec: {a: 1, a: 2}}}
    |                           ^
  remove one of the two: it would be ignored
");
    insta::assert_snapshot!(with_overlay("{<<: 1}"), @"
mine/exec/mine.yaml:8:25: `<<` merges maps, and this is none
  8 |   do: {pod: {spec: {<<: 1}}}
    |                         ^
  write the keys themselves
");
    insta::assert_snapshot!(with_overlay("{a: *nothing}"), @"
mine/exec/mine.yaml:8:24: nothing has this name
  8 |   do: {pod: {spec: {a: *nothing}}}
    |                        ^
  `*name` repeats what is marked `&name` further up; put other text in quotes
");
}

#[test]
fn text_that_is_not_what_it_seems() {
    assert_eq!(with_scenario(format!("\u{feff}{SCENARIO}")), "");
    assert_eq!(with_scenario(SCENARIO.replace('\n', "\r\n")), "");
    insta::assert_snapshot!(with_change("why: Because.", "why: Be\0cause."), @"mine/exec/mine.yaml: line 2 is not text in UTF-8");
    let said = with_change("as: operator", "as: \"op\\0\"");
    insta::assert_snapshot!(said.split("\n  known are: ").next().unwrap_or_default(), @r#"
mine/exec/mine.yaml:7:7: there is no persona `op\u{0}`
  7 |   as: "op\0"
    |       ^
"#);
    let wide: Vec<u8> = SCENARIO.encode_utf16().flat_map(u16::to_le_bytes).collect();
    insta::assert_snapshot!(with_scenario(wide), @"mine/exec/mine.yaml: line 1 is not text in UTF-8");
}

/// What is said about a request to this path.
fn with_path(path: &str) -> String {
    let request = format!("do: {{request: {{method: GET, path: \"{path}\"}}}}");
    let said = with_change("do: {exec: {command: [probe, cat], stdin: true}}", &request);
    let lines: Vec<&str> = said.lines().collect();
    lines
        .iter()
        .filter(|line| !line.contains(" | "))
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn a_path_that_would_not_be_sent_as_it_is() {
    assert_eq!(with_path("/api/v1/nodes/${node}/proxy/x?a=b&c=d%2Fe"), "");
    let one_slash = "mine/exec/mine.yaml:8:37: a path begins with one `/`; \
                     write it from the root, as /api/v1/namespaces: the host is always the cluster's";
    for path in ["", "api/v1", "https://example.com/api", "//example.com/api", "*"] {
        assert_eq!(with_path(path), one_slash, "{path}");
    }
    let codes = [
        (" ", " ", "%20"),
        ("\\t", r"\t", "%09"),
        ("\\r\\n", r"\r", "%0D"),
        ("\\0", r"\u{0}", "%00"),
        ("#x", "#", "%23"),
        ("\\\\", r"\", "%5C"),
        ("{x}", "{", "%7B"),
        ("ü", "ü", "%C3%BC"),
    ];
    for (path, shown, code) in codes {
        let expected =
            format!("mine/exec/mine.yaml:8:37: a path holds no `{shown}`; write it as {code}");
        assert_eq!(with_path(&format!("/api{path}")), expected);
    }
    let percent = "mine/exec/mine.yaml:8:37: in a path `%` begins a code of two hexadecimal digits; write `%` itself as %25";
    for path in ["/api%", "/api%2", "/api%zz/x"] {
        assert_eq!(with_path(path), percent, "{path}");
    }
}

#[test]
fn a_path_of_the_kubelet() {
    let kubelet = "do: {kubelet: {method: GET, path: pods}}";
    insta::assert_snapshot!(with_change("do: {exec: {command: [probe, cat], stdin: true}}", kubelet), @"
mine/exec/mine.yaml:8:37: a path begins with one `/`
  8 |   do: {kubelet: {method: GET, path: pods}}
    |                                     ^
  write it from the root, as /api/v1/namespaces: the host is always the cluster's
");
}

#[test]
fn a_command_of_nothing() {
    insta::assert_snapshot!(with_change("[probe, cat]", "[]"), @"
mine/exec/mine.yaml:8:15: no command
  8 |   do: {exec: {command: [], stdin: true}}
    |               ^
  write the program and its arguments: `command: [id]`
");
}
