//! The board as a page.

use std::fmt::Write as _;

use crate::Board;

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"refresh\" content=\"30\">
<title>boskos</title>
<style>
body { font-family: sans-serif }
td, th { padding: 0.2em 0.8em; text-align: right }
td:first-child, th:first-child { text-align: left }
.stale { color: #a00; text-align: left }
</style>
</head>
<body>
<h1>boskos</h1>
";

/// The page.
pub(crate) fn page(board: &Board, away: Option<&str>) -> String {
    let mut out = String::from(HEAD);
    if let Some(away) = away {
        writeln!(out, "<p class=\"stale\">not up to date: {}</p>", escaped(away)).expect("a String takes all");
    }
    let shown = board.shown();
    if shown.is_empty() {
        out.push_str("<p>There are no types.</p>\n</body>\n</html>\n");
        return out;
    }
    out.push_str("<table>\n<tr><th>type</th>");
    let states = board.states();
    for title in states.iter().map(boskos_client::State::as_str).chain(["other", "all"]) {
        write!(out, "<th>{}</th>", escaped(title)).expect("a String takes all");
    }
    out.push_str("</tr>\n");
    for row in shown {
        write!(out, "<tr><td>{}</td>", escaped(row.r#type.as_str())).expect("a String takes all");
        match row.counts {
            Some((by_state, other)) => {
                let all = by_state.iter().sum::<u64>() + other;
                for count in by_state.into_iter().chain([other, all]) {
                    write!(out, "<td>{count}</td>").expect("a String takes all");
                }
            }
            None => {
                let since = match (row.refreshed, row.age) {
                    (Some(at), Some(age)) => format!("last known at {at}, {} s ago", age.as_secs()),
                    _ => "never known".to_owned(),
                };
                write!(out, "<td class=\"stale\" colspan=\"{}\">stale: {since}</td>", states.len() + 2)
                    .expect("a String takes all");
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
