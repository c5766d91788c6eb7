//! Measurements as a table and as a picture, without a plotting library.

use std::fmt::Write as _;

/// One measured series, in the order of the samples.
pub struct Curve {
    pub name: &'static str,
    pub colour: &'static str,
    /// In millions of bytes.
    pub mb: Vec<f64>,
}

/// What the samples stand against.
pub struct Axis {
    pub unit: &'static str,
    pub at: Vec<f64>,
}

/// One line a sample, with `more` columns of other things.
pub fn csv(axis: &Axis, curves: &[Curve], more: &[(&str, Vec<u64>)]) -> String {
    let mut text = axis.unit.replace(' ', "_");
    for curve in curves {
        write!(text, ",{}_mb", curve.name.replace(' ', "_")).unwrap();
    }
    for (name, _) in more {
        write!(text, ",{name}").unwrap();
    }
    for (row, at) in axis.at.iter().enumerate() {
        write!(text, "\n{at:.2}").unwrap();
        for curve in curves {
            write!(text, ",{:.1}", curve.mb[row]).unwrap();
        }
        for (_, values) in more {
            write!(text, ",{}", values[row]).unwrap();
        }
    }
    text.push('\n');
    text
}

/// All curves on one scale, which begins at zero.
pub fn svg(axis: &Axis, curves: &[Curve]) -> String {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 300.0;
    const LEFT: f64 = 60.0;
    let last = axis.at.last().copied().unwrap_or(1.0).max(0.001);
    let most = curves.iter().flat_map(|curve| &curve.mb).copied().fold(1.0, f64::max);
    let x = |at: f64| LEFT + at / last * (WIDTH - LEFT - 40.0);
    let y = |mb: f64| HEIGHT - 30.0 - mb / most * (HEIGHT - 60.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for quarter in 0..=4 {
        let part = f64::from(quarter) / 4.0;
        let (height, right) = (y(most * part), WIDTH - 40.0);
        writeln!(
            text,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{height:.1}\" y2=\"{height:.1}\" \
             stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} MB</text>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{:.0} {}</text>",
            LEFT - 6.0,
            height + 4.0,
            most * part,
            x(last * part),
            HEIGHT - 10.0,
            last * part,
            axis.unit
        )
        .unwrap();
    }
    for (number, curve) in curves.iter().enumerate() {
        let points: String = axis
            .at
            .iter()
            .zip(&curve.mb)
            .map(|(at, mb)| format!("{:.1},{:.1} ", x(*at), y(*mb)))
            .collect();
        let Curve { name, colour, .. } = curve;
        writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{}\" y=\"16\" fill=\"{colour}\">{name}</text>",
            points.trim_end(),
            LEFT + 120.0 * number as f64
        )
        .unwrap();
    }
    text.push_str("</svg>\n");
    text
}
