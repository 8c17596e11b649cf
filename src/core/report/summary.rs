//! A short table for people, as plain text: what a program says at its end on stderr.

/// Returns a table of aligned columns, without a line end after the last row.
///
/// Columns stand two blanks apart and are as wide as their widest cell. Columns of numbers are aligned on the right, all
/// others on the left. A row with fewer cells than the header ends early; cells beyond the header have no heading.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).chain([header.len()]).max().unwrap_or(0);
    let heading = |column: usize| header.get(column).copied().unwrap_or_default();
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column).map(String::as_str));
    let widths: Vec<usize> = (0..columns)
        .map(|column| cells(column).chain([heading(column)]).map(width).max().unwrap_or(0))
        .collect();
    let numbers: Vec<bool> = (0..columns).map(|column| is_numeric(cells(column))).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .into_iter()
            .enumerate()
            .map(|(column, text)| {
                let blanks = " ".repeat(widths[column] - width(text));
                if numbers[column] { format!("{blanks}{text}") } else { format!("{text}{blanks}") }
            })
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line((0..columns).map(heading).collect())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// Returns the columns that a text takes on a terminal, of scripts whose letters are one column wide.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// Returns whether all texts begin like a number, those that say "none" with a dash aside.
fn is_numeric<'a>(mut cells: impl Iterator<Item = &'a str>) -> bool {
    let begins = |cell: &str| {
        let digits = cell.trim_start_matches(['+', '-', '−', '[']);
        ["", "-", "–"].contains(&cell) || digits.starts_with(|c: char| c.is_ascii_digit())
    };
    cells.all(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["real", "0.5", "helps"]), row(["synthetic", "-10.25", "–"])];
        let expected = "\
arm        change  verdict
real          0.5  helps
synthetic  -10.25  –";
        assert_eq!(table(&["arm", "change", "verdict"], &rows), expected);
    }

    #[test]
    fn rows_of_other_lengths_than_the_header_are_kept() {
        let rows = [vec!["only".to_owned()], vec!["µ".to_owned(), "1".to_owned(), "more".to_owned()]];
        assert_eq!(table(&["a", "b"], &rows), "a     b\nonly\nµ     1  more");
        assert_eq!(table(&[], &[]), "");
    }
}
