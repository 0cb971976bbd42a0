//! A trend, as a page.

use std::io;

use askama::Template;

use super::{WORDS, document};
use crate::report::trend::{heading, letter, times, turn};
use crate::trend::{Course, Place, Seen, Trend};

/// The page of a trend.
#[derive(Template)]
#[template(path = "trend.html")]
struct Page<'a> {
    title: &'static str,
    version: &'static str,
    words: [&'static str; 5],
    places: Vec<PlaceView<'a>>,
}

/// The runs on one cluster with one profile.
struct PlaceView<'a> {
    heading: String,
    courses: Vec<CourseView<'a>>,
}

/// What became of a scenario.
struct CourseView<'a> {
    id: &'a str,
    told: String,
    cells: Vec<Cell>,
    turns: Vec<String>,
    times: String,
}

/// What came of it in one run.
struct Cell {
    class: &'static str,
    title: String,
    letter: char,
}

/// The whole page.
pub(in crate::report) fn page(trend: &Trend) -> io::Result<Vec<u8>> {
    document(&Page {
        title: "Results from run to run",
        version: env!("CARGO_PKG_VERSION"),
        words: WORDS,
        places: trend.places.iter().map(place).collect(),
    })
}

fn place(place: &Place) -> PlaceView<'_> {
    let courses = place.courses.iter().map(|it| course(place, it));
    PlaceView { heading: heading(place), courses: courses.collect() }
}

fn course<'a>(place: &Place, course: &'a Course) -> CourseView<'a> {
    let cells = place.runs.iter().zip(&course.seen).map(|(run, seen)| Cell {
        class: seen.map(Seen::label).unwrap_or_default(),
        title: format!("{}: {}", run.started, seen.map_or("not in it", Seen::label)),
        letter: letter(*seen),
    });
    let labels = course.seen.iter().map(|seen| seen.map_or("not in it", Seen::label));
    CourseView {
        id: &course.id,
        told: labels.collect::<Vec<_>>().join(", "),
        cells: cells.collect(),
        turns: course.turns.iter().rev().map(|it| turn(place, it)).collect(),
        times: course.times.as_ref().map(times).unwrap_or_default(),
    }
}
