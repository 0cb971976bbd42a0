//! A proof, as the page shows it: weakenings against scenarios, and what turned red.

use super::run::{Count, Scenario};
use crate::model::{
    AS_KNOWN, Cell, Mark, Outcome, Proof, STALE, VACUOUS, Verdict, WeakeningResult,
};
use crate::report::proof::{Table, score, tables};

/// A proof.
pub(super) struct ProofView<'a> {
    pub(super) counts: Vec<Count>,
    pub(super) score: Vec<String>,
    pub(super) tables: Vec<TableView<'a>>,
    pub(super) skipped: Vec<String>,
}

/// The weakenings of a control.
pub(super) struct TableView<'a> {
    pub(super) control: &'a str,
    pub(super) columns: Vec<&'a str>,
    pub(super) rows: Vec<Row<'a>>,
}

/// A weakening.
pub(super) struct Row<'a> {
    pub(super) id: String,
    pub(super) name: &'a str,
    pub(super) why: &'a str,
    pub(super) class: &'static str,
    pub(super) outcome: &'static str,
    pub(super) causes: Vec<&'a str>,
    pub(super) cells: Vec<CellView>,
    pub(super) scenarios: Vec<Scenario<'a>>,
}

/// What a scenario did under a weakening.
pub(super) struct CellView {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) is_told: bool,
}

impl<'a> ProofView<'a> {
    /// What is to be shown of a proof.
    pub(super) fn of(run: usize, proof: &'a Proof) -> ProofView<'a> {
        let tables = tables(proof).into_iter().enumerate();
        let skipped = proof.weakenings.iter().filter(|row| row.outcome == Outcome::Skipped);
        let told = |row: &WeakeningResult| {
            format!("{}: {}", row.id(), row.cause.as_deref().unwrap_or_default())
        };
        ProofView {
            counts: counts(proof),
            score: score(proof).lines().map(str::to_owned).collect(),
            tables: tables
                .map(|(number, table)| table_view(&format!("p{run}-{number}"), table))
                .collect(),
            skipped: skipped.map(told).collect(),
        }
    }
}

/// How many weakenings came out so, and what else must be mended, the worst first, each in a colour that the table has too.
/// What a proof need not have is counted only where it has some.
fn counts(proof: &Proof) -> Vec<Count> {
    let (red, known) = (Mark::Collateral.label(), Mark::Green.label());
    let as_known = |label: &str| format!("{label}, {AS_KNOWN}");
    let missed = |is_known: bool| {
        let missed = proof.weakenings.iter().filter(|it| it.outcome == Outcome::Missed);
        missed.filter(|it| it.deviation.is_some() == is_known).count()
    };
    let vacuous = |is_known: bool| {
        proof.vacuous.iter().filter(|it| it.deviation.is_some() == is_known).count()
    };
    let always = |class, number, outcome: Outcome| {
        Some(Count { class, number, label: outcome.label().to_owned() })
    };
    let sometimes =
        |class, number: usize, label| (number > 0).then_some(Count { class, number, label });
    let counts = [
        always(red, missed(false), Outcome::Missed),
        sometimes(red, proof.collateral(), red.to_owned()),
        sometimes(red, vacuous(false), VACUOUS.to_owned()),
        sometimes(red, proof.stale.len(), STALE.to_owned()),
        always(Mark::Wrong.label(), proof.count(Outcome::Wrong), Outcome::Wrong),
        sometimes(known, missed(true), as_known(Outcome::Missed.label())),
        sometimes(known, vacuous(true), as_known(VACUOUS)),
        always(Verdict::Skipped.label(), proof.count(Outcome::Skipped), Outcome::Skipped),
        always(Mark::Caught.label(), proof.count(Outcome::Caught), Outcome::Caught),
    ];
    counts.into_iter().flatten().collect()
}

fn table_view<'a>(anchor: &str, table: Table<'a>) -> TableView<'a> {
    let rows = table.rows.iter().enumerate();
    let rows = rows.map(|(number, row)| row_view(&format!("{anchor}-{number}"), row, &table));
    TableView {
        control: table.control,
        rows: rows.collect(),
        columns: table.columns.iter().map(|column| column.id.as_str()).collect(),
    }
}

fn row_view<'a>(anchor: &str, row: &'a WeakeningResult, table: &Table<'a>) -> Row<'a> {
    let red = row.cells.iter().filter(|cell| cell.mark != Mark::Green).enumerate();
    let scenario = |(number, cell): (usize, &'a Cell)| {
        Scenario::of(format!("{anchor}-{number}"), &cell.result)
    };
    let causes = row.deviation.iter().chain(&row.cause).map(String::as_str);
    Row {
        id: row.id(),
        name: &row.name,
        why: &row.why,
        class: class(row),
        outcome: row.outcome.label(),
        causes: causes.collect(),
        cells: table.columns.iter().map(|column| cell_view(Table::cell(row, column))).collect(),
        scenarios: red.map(scenario).collect(),
    }
}

/// In which colour an outcome is shown.
fn class(row: &WeakeningResult) -> &'static str {
    match row.outcome {
        _ if row.is_failure() => Mark::Collateral.label(),
        Outcome::Caught => Mark::Caught.label(),
        Outcome::Wrong => Mark::Wrong.label(),
        Outcome::Missed | Outcome::Skipped => Mark::Green.label(),
    }
}

fn cell_view(cell: Option<&Cell>) -> CellView {
    let Some(cell) = cell else { return CellView { class: "", word: "", is_told: false } };
    let missed = cell.mark == Mark::Green && cell.expected.is_some();
    let class = if missed { Mark::Collateral.label() } else { cell.mark.label() };
    CellView { class, word: cell.mark.label(), is_told: missed || cell.mark != Mark::Green }
}
