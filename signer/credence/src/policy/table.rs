//! Columns for people.

/// Rows under a heading, each column as wide as its longest cell, the last one free.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut text = line(&heading.map(str::to_owned), &widths);
    for row in rows {
        text.push_str(&line(row, &widths));
    }
    text
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let mut text = String::new();
    for (cell, widest) in row.iter().zip(widths) {
        text.push_str(cell);
        text.push_str(&" ".repeat(widest.saturating_sub(width(cell)) + 2));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let rows = [["é", "b"], ["ccc", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(table(["A", "BB"], &rows), "A    BB\né    b\nccc\n");
    }
}
