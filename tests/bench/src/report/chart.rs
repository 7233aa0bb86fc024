//! Figures as bars: one group for each row, one bar for each system.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::figure;
use super::statistics::Line;

const WIDTH: u32 = 960;
const LEFT: i32 = 300;
const RIGHT: i32 = 90;
const BAR: i32 = 13;
const GAP: i32 = 10;
const FONT: (&str, i32) = ("sans-serif", 12);

/// Ours is the dark one; the others are told apart in print as well.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x12, 0x3c, 0x69),
    RGBColor(0xac, 0x3b, 0x61),
    RGBColor(0x5a, 0x8f, 0x5a),
    RGBColor(0xd9, 0x96, 0x2b),
    RGBColor(0x6c, 0x5b, 0x7b),
    RGBColor(0x4a, 0x9d, 0xa8),
    RGBColor(0x88, 0x88, 0x88),
];

/// A picture of the first kind of figure of these lines with payloads of 256 bytes. Nothing when there is none.
pub fn of(lines: &[&Line]) -> Option<String> {
    let kind = &lines.first()?.figure;
    let lines: Vec<&Line> = lines
        .iter()
        .copied()
        .filter(|line| line.figure == *kind && line.key.payload == 256)
        .collect();
    let (mut rows, mut systems): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for line in &lines {
        if !rows.contains(&line.key.row.as_str()) {
            rows.push(&line.key.row);
        }
        if !systems.contains(&line.system.as_str()) {
            systems.push(&line.system);
        }
    }
    let bars = i32::try_from(lines.len()).ok()?;
    let groups = i32::try_from(rows.len()).ok()?;
    let height = u32::try_from(40 + bars * BAR + groups * GAP + 10).ok()?;
    let most = lines
        .iter()
        .map(|line| line.value.highest)
        .fold(0.0, f64::max);
    let mut picture = String::new();
    draw(&mut picture, height, most, kind, &rows, &systems, &lines).ok()?;
    Some(picture)
}

fn draw(
    picture: &mut String,
    height: u32,
    most: f64,
    kind: &str,
    rows: &[&str],
    systems: &[&str],
    lines: &[&Line],
) -> anyhow::Result<()> {
    let root = SVGBackend::with_string(picture, (WIDTH, height)).into_drawing_area();
    let failed = |error: DrawingAreaErrorKind<_>| anyhow::anyhow!("{error:?}");
    root.fill(&WHITE).map_err(failed)?;
    let right = Pos::new(HPos::Right, VPos::Center);
    let left = Pos::new(HPos::Left, VPos::Center);
    let text = |words: &str, x: i32, y: i32, anchor: Pos| {
        let style = TextStyle::from(FONT.into_font()).pos(anchor);
        root.draw(&Text::new(words.to_owned(), (x, y), style))
            .map_err(failed)
    };
    text(kind, 10, 16, left)?;
    // The legend.
    let mut x = LEFT;
    for (n, system) in systems.iter().enumerate() {
        let colour = COLOURS.get(n % COLOURS.len()).copied().unwrap_or(BLACK);
        root.draw(&Rectangle::new([(x, 10), (x + 12, 22)], colour.filled()))
            .map_err(failed)?;
        text(system, x + 16, 16, left)?;
        x += 24 + 7 * i32::try_from(system.len())?;
    }
    let scale = f64::from(i32::try_from(WIDTH)? - LEFT - RIGHT) / most.max(f64::MIN_POSITIVE);
    let mut y = 40;
    for row in rows {
        let of: Vec<&&Line> = lines.iter().filter(|line| line.key.row == *row).collect();
        let middle = y + BAR * i32::try_from(of.len())? / 2;
        text(row, LEFT - 8, middle, right)?;
        for line in of {
            let system = systems.iter().position(|system| *system == line.system);
            let colour = system.and_then(|n| COLOURS.get(n % COLOURS.len()));
            let end = LEFT + (line.value.median * scale).round() as i32;
            let bar = [(LEFT, y), (end.max(LEFT + 1), y + BAR - 2)];
            root.draw(&Rectangle::new(bar, colour.unwrap_or(&BLACK).filled()))
                .map_err(failed)?;
            text(&figure(line.value.median), end + 5, y + BAR / 2, left)?;
            y += BAR;
        }
        y += GAP;
    }
    root.present().map_err(failed)
}
