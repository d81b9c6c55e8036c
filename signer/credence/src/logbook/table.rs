//! Columns that fit a terminal.

/// How a column gives way where there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Yield {
    /// It stays.
    Never,
    /// It is left out; the highest number first, 1 last.
    Out(u8),
    /// Its cells lose their beginnings: what tells SPIFFE IDs apart is their ends.
    Cut,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) gives: Yield,
}

/// Between columns.
const GAP: usize = 2;
/// The highest number of those that are left out.
const LAST: u8 = 9;
/// Others are left out before a column is cut to less than this, in characters.
const READABLE: usize = 32;
/// No narrower than this is a column cut.
const NARROWEST: usize = 16;

/// Rows under a heading, as narrow as `room` if that is given and possible.
pub(super) fn table<const N: usize>(
    columns: &[Column; N],
    rows: &[[String; N]],
    room: Option<usize>,
) -> String {
    let mut widths = columns.map(|column| width(column.title));
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let mut shown = [true; N];
    if let Some(room) = room {
        narrow(columns, &mut widths, &mut shown, room);
    }
    let mut text = line(&columns.map(|c| c.title.to_owned()), &widths, &shown);
    for row in rows {
        text.push_str(&line(row, &widths, &shown));
    }
    text
}

fn narrow<const N: usize>(
    columns: &[Column; N],
    widths: &mut [usize; N],
    shown: &mut [bool; N],
    room: usize,
) {
    let cut = columns.iter().position(|column| column.gives == Yield::Cut);
    let whole = cut.and_then(|at| widths.get(at)).copied().unwrap_or(0);
    let set = |widths: &mut [usize; N], wide: usize| {
        if let Some(widest) = cut.and_then(|at| widths.get_mut(at)) {
            *widest = wide.min(whole);
        }
    };
    set(widths, READABLE);
    let mut out = LAST;
    while total(widths, shown) > room && out > 0 {
        for (column, shown) in columns.iter().zip(&mut *shown) {
            *shown &= column.gives != Yield::Out(out);
        }
        out -= 1;
    }
    set(widths, 0);
    let left = room.saturating_sub(total(widths, shown));
    set(widths, left.max(NARROWEST));
}

fn total<const N: usize>(widths: &[usize; N], shown: &[bool; N]) -> usize {
    let of_shown = widths.iter().zip(shown).filter(|(_, shown)| **shown);
    of_shown
        .map(|(widest, _)| widest + GAP)
        .sum::<usize>()
        .saturating_sub(GAP)
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N], shown: &[bool; N]) -> String {
    let mut text = String::new();
    for ((cell, widest), _) in row.iter().zip(widths).zip(shown).filter(|(_, s)| **s) {
        let cell = cut(cell, *widest);
        let fill = widest.saturating_sub(width(&cell)) + GAP;
        text.push_str(&cell);
        text.push_str(&" ".repeat(fill));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn cut(cell: &str, widest: usize) -> String {
    let length = width(cell);
    if length <= widest {
        return cell.to_owned();
    }
    let gone = length - widest + 1;
    format!("…{}", cell.chars().skip(gone).collect::<String>())
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column {
            title: "A",
            gives: Yield::Never,
        },
        Column {
            title: "SERIAL",
            gives: Yield::Out(1),
        },
        Column {
            title: "ID",
            gives: Yield::Cut,
        },
    ];

    fn rows() -> [[String; 3]; 2] {
        [
            ["é", "0123456789", "spiffe://example.org/ns/shop/sa/orders"],
            ["b", "", "-"],
        ]
        .map(|row| row.map(str::to_owned))
    }

    #[test]
    fn without_bounds_everything_is_there() {
        let text = table(&COLUMNS, &rows(), None);
        let first = "A  SERIAL      ID\n";
        let second = "é  0123456789  spiffe://example.org/ns/shop/sa/orders\n";
        assert_eq!(text, format!("{first}{second}b              -\n"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for room in 19..80 {
            let text = table(&COLUMNS, &rows(), Some(room));
            let widest = text.lines().map(width).max().unwrap();
            assert!(widest <= room, "{room}: {text}");
            assert!(text.contains("/sa/orders"), "{room}: {text}");
        }
        let narrow = table(&COLUMNS, &rows(), Some(25));
        assert_eq!(narrow, "A  ID\né  …org/ns/shop/sa/orders\nb  -\n");
        let wide = table(&COLUMNS, &rows(), Some(60));
        assert_eq!(wide, table(&COLUMNS, &rows(), None));
    }
}
