//! docs/your-own.md word by word: its commands are typed one after the other, and answer as the page shows. Those that make a
//! cluster are typed by the tests on clusters.

use crate::support::Home;
use crate::support::page::{commands, install, page};

#[test]
fn what_the_page_shows_is_what_comes() {
    let home = Home::new();
    install(&home);
    let commands = commands(&page("your-own.md"));
    let (on_clusters, typed): (Vec<_>, Vec<_>) = commands.iter().partition(|it| it.makes_cluster());
    assert!(
        on_clusters.len() >= 3 && typed.len() >= 10,
        "{} and {}",
        on_clusters.len(),
        typed.len()
    );
    let differs: Vec<String> = typed.iter().filter_map(|it| it.differs(&home)).collect();
    assert!(differs.is_empty(), "{}", differs.join("\n\n"));
}
