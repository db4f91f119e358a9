//! Plots as SVG, drawn at twice the size at which they are shown: the backend rounds to whole
//! pixels.

use std::io;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::curves::{Points, nines, ticks_1_2_5};
use super::number;
use crate::statistics::Verdict;

/// Colours that are told apart with every kind of colour vision, too (Okabe and Ito).
pub(super) const COLOUR_A: RGBColor = RGBColor(0, 114, 178);
pub(super) const COLOUR_B: RGBColor = RGBColor(213, 94, 0);
const TEXT: RGBColor = RGBColor(34, 34, 34);
const QUIET: RGBColor = RGBColor(120, 120, 120);
const GRID: RGBColor = RGBColor(225, 225, 225);
const BAND: RGBColor = RGBColor(232, 243, 236);
const FONT: &str = "sans-serif";
/// The backend draws text smaller than it is asked for, by 1.24.
const FONT_SIZE: u32 = 32;

type Area<'s> = DrawingArea<SVGBackend<'s>, Shift>;

/// An axis with ticks that are given, straight or logarithmic.
struct Axis {
    range: Range<f64>,
    ticks: Vec<f64>,
    logarithmic: bool,
}

impl Axis {
    fn new(range: Range<f64>, ticks: Vec<f64>) -> Self {
        Self {
            range,
            ticks,
            logarithmic: false,
        }
    }

    fn logarithmic(range: Range<f64>, ticks: Vec<f64>) -> Self {
        Self {
            range,
            ticks,
            logarithmic: true,
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let place = |value: f64| if self.logarithmic { value.ln() } else { value };
        let (from, to) = (place(self.range.start), place(self.range.end));
        let share = (place(*value) - from) / (to - from);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

/// A line of a plot.
pub(super) struct Curve {
    pub(super) is_b: bool,
    /// What the target measured, as opposed to the client.
    pub(super) dashed: bool,
    pub(super) points: Points,
}

/// A line of a forest plot.
pub(super) struct Branch {
    pub(super) label: String,
    pub(super) verdict: Verdict,
    pub(super) mean: f64,
    pub(super) interval: Option<(f64, f64)>,
    /// Whether a thin line is drawn above it.
    pub(super) begins_group: bool,
}

/// Latency over the share of requests that are at most so slow, on axes that show tails.
pub(super) fn latencies(curves: &[Curve]) -> io::Result<String> {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let Some((low, high)) = bounds(all().map(|p| p.1)) else {
        return Ok(String::new());
    };
    let right = all().map(|p| p.0).fold(1.0, f64::max);
    // A factor of ten at least, or the ticks would be too few to read.
    let middle = (low * high).sqrt();
    let (low, high) = (
        (low / 1.2).min(middle / 3.3),
        (high * 1.2).max(middle * 3.3),
    );
    let shares = [0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999];
    let x_ticks: Vec<f64> = shares
        .map(nines)
        .into_iter()
        .filter(|x| *x <= right)
        .collect();
    svg((1100, 720), |area| {
        let y = Axis::logarithmic(low..high, thinned(ticks_1_2_5(low, high)));
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(36)
            .x_label_area_size(100)
            .y_label_area_size(130)
            .build_cartesian_2d(Axis::new(0.0..right, x_ticks), y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(QUIET)
            .label_style(font())
            .axis_desc_style(font())
            .x_desc("share of requests that are at most so slow, %")
            .y_desc("latency, ms")
            .x_label_formatter(&|x| percent(1.0 - 10f64.powf(-x)))
            .y_label_formatter(&|y| number_on_axis(*y))
            .draw()?;
        for curve in curves {
            draw_curve(&mut chart, curve)?;
        }
        Ok(())
    })
}

/// Requests sent per second over the window.
pub(super) fn rates(curves: &[Curve]) -> io::Result<String> {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let Some((_, high)) = bounds(all().map(|p| p.1)) else {
        return Ok(String::new());
    };
    let right = all().map(|p| p.0).fold(0.0, f64::max);
    svg((1100, 720), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(36)
            .x_label_area_size(100)
            .y_label_area_size(130)
            .build_cartesian_2d(0.0..right * 1.02, 0.0..high * 1.1)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(QUIET)
            .label_style(font())
            .axis_desc_style(font())
            .x_desc("time since the window opened, s")
            .y_desc("requests sent, 1/s")
            .x_labels(8)
            .y_labels(7)
            .x_label_formatter(&|x| number_on_axis(*x))
            .y_label_formatter(&|y| number_on_axis(*y))
            .draw()?;
        for curve in curves {
            draw_curve(&mut chart, curve)?;
        }
        Ok(())
    })
}

/// Mean differences with their intervals, one below the other, around a band that counts as the
/// same. What lies beyond the edge is drawn as an arrow.
pub(super) fn forest(title: &str, branches: &[Branch], tolerance: f64) -> io::Result<String> {
    const ROW: u32 = 44;
    if branches.is_empty() {
        return Ok(String::new());
    }
    let reach = branches
        .iter()
        .flat_map(|b| b.interval.map_or([b.mean; 2], |(low, high)| [low, high]))
        .map(f64::abs)
        .fold(3.0 * tolerance, f64::max)
        .min(f64::max(100.0, 5.0 * tolerance));
    let edge = reach * 1.08;
    let longest = branches.iter().map(|b| b.label.chars().count()).max();
    let label_width = (longest.unwrap_or(0) as u32 * FONT_SIZE * 9 / 20 + 40).min(600);
    let rows = branches.len() as f64;
    let labels: Vec<String> = branches.iter().map(|b| b.label.clone()).collect();
    let ticks: Vec<f64> = (0..branches.len()).map(|i| i as f64 + 0.5).collect();
    svg((1100, ROW * branches.len() as u32 + 150), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(36)
            .x_label_area_size(104)
            .y_label_area_size(label_width)
            .build_cartesian_2d(-edge..edge, Axis::new(rows..0.0, ticks))?;
        chart.draw_series(std::iter::once(Rectangle::new(
            [(-tolerance, 0.0), (tolerance, rows)],
            BAND.filled(),
        )))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .disable_y_mesh()
            .axis_style(QUIET)
            .label_style(font())
            .axis_desc_style(font())
            .x_desc(title)
            .x_labels(9)
            .x_label_formatter(&|x| match *x {
                0.0 => "0".to_owned(),
                x => format!("{x:+}"),
            })
            .y_label_formatter(&|y| labels.get(*y as usize).cloned().unwrap_or_default())
            .draw()?;
        let line = |from, to, colour: RGBColor, width| {
            PathElement::new(vec![from, to], colour.stroke_width(width))
        };
        chart.draw_series(std::iter::once(line((0.0, 0.0), (0.0, rows), QUIET, 2)))?;
        for (index, branch) in branches.iter().enumerate() {
            let y = index as f64 + 0.5;
            if branch.begins_group && index > 0 {
                let at = index as f64;
                chart.draw_series(std::iter::once(line((-edge, at), (edge, at), GRID, 2)))?;
            }
            let colour = colour_of(branch.verdict);
            if let Some((low, high)) = branch.interval {
                let (from, to) = (low.clamp(-edge, edge), high.clamp(-edge, edge));
                chart.draw_series(std::iter::once(line((from, y), (to, y), colour, 4)))?;
                for (bound, at) in [(low, from), (high, to)] {
                    if bound == at {
                        let end = line((at, y - 0.18), (at, y + 0.18), colour, 4);
                        chart.draw_series(std::iter::once(end))?;
                    }
                }
            }
            let is_beyond = |x: f64| x.abs() > edge;
            let ends = branch
                .interval
                .map_or(vec![branch.mean], |(l, h)| vec![l, h]);
            for beyond in ends.into_iter().filter(|x| is_beyond(*x)) {
                let tip = edge.copysign(beyond);
                let foot = tip - (edge * 0.025).copysign(beyond);
                let arrow = [(tip, y), (foot, y - 0.28), (foot, y + 0.28)];
                chart.draw_series(std::iter::once(Polygon::new(arrow, colour.filled())))?;
            }
            if !is_beyond(branch.mean) {
                let at = (branch.mean, y);
                let filled = match branch.verdict {
                    Verdict::Same | Verdict::Different => colour.filled(),
                    _ => WHITE.filled(),
                };
                chart.draw_series(std::iter::once(Circle::new(at, 8, filled)))?;
                chart.draw_series(std::iter::once(Circle::new(at, 8, colour.stroke_width(3))))?;
            } else {
                let anchor = match branch.mean > 0.0 {
                    true => Pos::new(HPos::Right, VPos::Bottom),
                    false => Pos::new(HPos::Left, VPos::Bottom),
                };
                let at = ((edge * 0.96).copysign(branch.mean), y - 0.06);
                let text = format!("{} %", number::signed(branch.mean));
                let style = (FONT, 24).into_font().color(&TEXT).pos(anchor);
                chart.draw_series(std::iter::once(Text::new(text, at, style)))?;
            }
        }
        Ok(())
    })
}

/// The colour that stands for a verdict; its marker is filled only where there is one.
fn colour_of(verdict: Verdict) -> RGBColor {
    match verdict {
        Verdict::Same => RGBColor(0, 120, 88),
        Verdict::Different => RGBColor(170, 51, 119),
        Verdict::NotEnoughData | Verdict::NotAvailable => QUIET,
    }
}

fn draw_curve<X, Y>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    curve: &Curve,
) -> Result<(), Drawing>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let colour = if curve.is_b { COLOUR_B } else { COLOUR_A };
    let points = curve.points.iter().copied();
    if curve.dashed {
        let style = colour.mix(0.9).stroke_width(3);
        chart.draw_series(DashedLineSeries::new(points, 12, 8, style))?;
    } else {
        chart.draw_series(LineSeries::new(points, colour.stroke_width(4)))?;
    }
    Ok(())
}

type Drawing = DrawingAreaErrorKind<io::Error>;

fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Result<(), Drawing>,
) -> io::Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area)
            .and_then(|()| area.present())
            .map_err(|error| io::Error::other(error.to_string()))?;
    }
    // The page says how large it is shown.
    let fixed = format!(r#"width="{}" height="{}" "#, size.0, size.1);
    Ok(text.replacen(&fixed, r#"aria-hidden="true" "#, 1))
}

fn font() -> TextStyle<'static> {
    (FONT, FONT_SIZE).into_font().color(&TEXT)
}

/// Smallest and largest of what is finite.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .fold(None, |found, value| {
            let (low, high) = found.unwrap_or((value, value));
            Some((value.min(low), value.max(high)))
        })
}

/// Only powers of ten where 1, 2 and 5 would be too many.
fn thinned(ticks: Vec<f64>) -> Vec<f64> {
    if ticks.len() <= 11 {
        return ticks;
    }
    let is_power = |tick: &f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
    ticks.into_iter().filter(is_power).collect()
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let decimals = match percent {
        p if p < 99.5 => 0,
        p if p < 99.95 => 1,
        p if p < 99.995 => 2,
        _ => 3,
    };
    format!("{percent:.decimals$}")
}

fn number_on_axis(value: f64) -> String {
    // 0.1 + 0.2 is not to be read off an axis.
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}")
}
