//! Attribution and judging on exchanges with real API servers, recorded by `examples/record`.

mod exchange;
mod forged;
mod hostile;
mod judge;
mod words;
