//! The page of sabotages that a reader can try names what there is, and says of each what is expected to come of it.

use std::path::Path;

use brinell::catalog::Catalog;

/// A row of its tables: the weakening, the scenario that notices, and what brinell says.
struct Row<'a> {
    weakening: (&'a str, &'a str),
    scenario: &'a str,
    told: &'a str,
}

impl<'a> Row<'a> {
    /// `| what is wrong | `control/weakening` | `scenario` | BYPASSED: … |`
    fn read(line: &'a str) -> Option<Row<'a>> {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [_, weakening, scenario, told] = cells.as_slice() else { return None };
        let weakening = weakening.strip_prefix('`')?.strip_suffix('`')?.split_once('/')?;
        Some(Row { weakening, scenario: scenario.trim_matches('`'), told })
    }
}

#[test]
fn every_sabotage_of_the_page_is_one_that_is_expected_to_be_noticed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/try-it.md");
    let page = std::fs::read_to_string(path).expect("a file");
    let catalog = Catalog::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let rows: Vec<Row<'_>> = page.lines().filter_map(Row::read).collect();
    assert!(rows.len() >= 20, "the page has {} sabotages", rows.len());
    for Row { weakening: (control, name), scenario, told } in rows {
        let entry = catalog.controls.get(control).unwrap_or_else(|| panic!("no control {control}"));
        let weakening = entry.control.weaken.get(name);
        let weakening = weakening.unwrap_or_else(|| panic!("no weakening {control}/{name}"));
        let reason = weakening.expect.get(scenario);
        let reason =
            reason.unwrap_or_else(|| panic!("{control}/{name} does not expect {scenario}"));
        assert!(told.starts_with(&reason.heading()), "{control}/{name}: {told}");
    }
}
