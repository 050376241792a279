//! Goals and tables.

use std::fmt::{self, Write as _};

/// What a number is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Not less than this; the second is the least that will do.
    AtLeast(f64, f64),
    /// Not more than this; the second is its unit.
    AtMost(f64, &'static str),
    /// Nothing was asked.
    None,
}

impl Goal {
    /// What is to be said beside `value`.
    pub(crate) fn verdict(self, value: f64) -> String {
        let met = match self {
            Self::None => return "none".to_owned(),
            Self::AtLeast(goal, _) if value >= goal => "met",
            Self::AtLeast(_, least) if value >= least => "missed, but the least is met",
            Self::AtMost(goal, _) if value <= goal => "met",
            Self::AtLeast(..) | Self::AtMost(..) => "**missed**",
        };
        format!("{self}: {met}")
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(goal, least) if goal > least => write!(f, "≥ {goal:.2}, least {least:.2}"),
            Self::AtLeast(goal, _) => write!(f, "≥ {goal:.2}"),
            Self::AtMost(goal, unit) => write!(f, "≤ {goal}{unit}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// A table in Markdown.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    title: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &'static str, columns: &'static [&'static str]) -> Self {
        Self { title, columns, rows: Vec::new() }
    }

    /// Adds a row, and shows it to who looks on.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        eprintln!("   {}", cells.join(" | "));
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rule = self.columns.iter().fold(String::from("|"), |mut rule, _| {
            rule.push_str(" --- |");
            rule
        });
        writeln!(f, "\n{}\n\n| {} |\n{rule}", self.title, self.columns.join(" | "))?;
        for row in &self.rows {
            let mut line = String::from("|");
            for cell in row {
                write!(line, " {cell} |")?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
