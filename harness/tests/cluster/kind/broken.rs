//! Clusters that cannot be made.

use std::process::Command;

use brinell::cluster::DEFAULT_VERSION;
use brinell::model::Results;
use libtest_mimic::Trial;
use roxmltree::Document;

use super::engine::{docker, left};
use super::trial;
use crate::support::{Home, Ran};

/// All tests of clusters that cannot be made.
pub fn trials() -> Vec<Trial> {
    let name = |what: &str| format!("broken/{DEFAULT_VERSION}/{what}");
    vec![
        trial(name("no-node-image"), || {
            let told = broken("brinell.invalid/none:1");
            let words = "the node image brinell.invalid/none:1 is not here, and cannot be pulled";
            assert!(told.contains(words), "{told}");
        }),
        trial(name("no-node"), || {
            let image = NoNode::make();
            let told = broken(&image.tag);
            assert!(told.contains("kind could not make the cluster: "), "{told}");
            assert!(told.contains("/not/there"), "{told}");
        }),
    ]
}

/// An image of which a container can be made, but none that starts.
struct NoNode {
    tag: String,
}

impl NoNode {
    fn make() -> NoNode {
        let tag = format!("brinell.invalid/test:{}", brinell::text::random_hex(3));
        // Two empty blocks are an archive of nothing.
        let import = "head -c 1024 /dev/zero | docker import --change 'ENTRYPOINT [\"/not/there\"]' - \"$1\"";
        let output = Command::new("sh").args(["-c", import, "sh", &tag]).output().expect("started");
        assert!(output.status.success(), "{output:?}");
        NoNode { tag }
    }
}

impl Drop for NoNode {
    fn drop(&mut self) {
        docker(&["rmi", &self.tag]);
    }
}

/// Runs on a node image that is no good. Returns why there is no cluster, which the reports say too.
fn broken(node_image: &str) -> String {
    let home = Home::new();
    let mut brinell = home.brinell();
    brinell.args(["--cluster", "kind", "--node-image", node_image]);
    brinell.args(["--junit", "junit.xml", "--json", "results.json"]);
    let ran = Ran::from(brinell.output().expect("started"));
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let read = |name| std::fs::read_to_string(home.path(name)).expect("written");
    let results = Results::read(read("results.json").as_bytes()).expect("results");
    let junit = read("junit.xml");
    let xml = Document::parse(&junit).expect("XML");
    let case = xml.descendants().find(|node| node.has_tag_name("testcase")).expect("a case");
    assert!(case.children().any(|node| node.has_tag_name("error")), "{junit}");
    assert_eq!(left(&results.run), [""; 0]);
    assert_eq!(home.runs(), [""; 0]);
    assert_eq!(home.touched(&["junit.xml", "results.json"]), [""; 0]);
    results.aborted.expect("aborted")
}
