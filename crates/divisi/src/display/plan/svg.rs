//! A plan as a drawing.

use super::fold::Folded;
use super::models;
use crate::text;
use divisi_core::preflight::Graph;
use dugong::graphlib::{Graph as Layout, GraphOptions};
use dugong::{EdgeLabel, GraphLabel, LayoutError, NodeLabel, Point, RankDir};
use std::fmt::Write;

/// Width of a character and height of a line in the requested font.
const CHAR: f64 = 7.3;
const LINE: f64 = 18.0;
/// Space between a box and its text.
const PADDING: f64 = 10.0;
const MARGIN: f64 = 16.0;
/// Characters per line of text in a box.
const CHARS_MAX: usize = 36;

/// Boxes and lines with their positions.
type Drawing = Layout<NodeLabel, EdgeLabel, GraphLabel>;

const STYLE: &str = "\
text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #1f2328; text-anchor: middle }
.model { fill: #59636e }
rect { fill: #f6f8fa; stroke: #8c959f; rx: 6px }
.many { stroke-width: 2.5 }
path { fill: none; stroke: #8c959f }
.wait { stroke-dasharray: 4 4 }
marker path { fill: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .model { fill: #9198a1 }
  rect { fill: #151b23; stroke: #656c76 }
}";

/// The plan as an SVG file. A solid line is a result that is read, a dashed one only a wait.
pub(crate) fn render(graph: &Graph) -> Result<String, LayoutError> {
    let folded = Folded::of(graph, true);
    let boxes: Vec<[String; 2]> = (0..folded.stacks.len())
        .map(|stack| words(graph, &folded, stack))
        .collect();
    let layout = lay_out(&folded, &boxes)?;
    let (width, height) = (layout.graph().width, layout.graph().height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n\
         <marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker>\n",
        escaped(&graph.name)
    );
    // Writing to a string cannot fail.
    for (number, stack) in folded.stacks.iter().enumerate() {
        for before in stack.waits.union(&stack.reads) {
            let Some(edge) = layout.edge(&id(*before), &id(number), None) else {
                continue;
            };
            let class = if stack.reads.contains(before) {
                "read"
            } else {
                "wait"
            };
            let _ = writeln!(
                svg,
                "<path class=\"{class}\" marker-end=\"url(#end)\" d=\"{}\"/>",
                path(&edge.points)
            );
        }
    }
    for (number, words) in boxes.iter().enumerate() {
        let Some(NodeLabel {
            x: Some(x),
            y: Some(y),
            width,
            height,
            ..
        }) = layout.node(&id(number))
        else {
            continue;
        };
        let class = if folded.stacks[number].tasks.len() > 1 {
            " class=\"many\""
        } else {
            ""
        };
        let (left, top) = (x - width / 2.0, y - height / 2.0);
        let _ = writeln!(
            svg,
            "<rect{class} x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y - LINE * 0.15,
            escaped(&words[0])
        );
        let _ = writeln!(
            svg,
            "<text class=\"model\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            y + LINE * 0.8,
            escaped(&words[1])
        );
    }
    Ok(svg + "</svg>")
}

/// The two lines in a box: the label, and the models.
fn words(graph: &Graph, folded: &Folded, stack: usize) -> [String; 2] {
    let models = models(&graph.tasks[folded.stacks[stack].tasks[0]], " → ").unwrap_or_default();
    let label = &folded.stacks[stack].label;
    let tasks = folded.stacks[stack].tasks.len();
    let cut = |line: &str| text::cut(&text::line(line), CHARS_MAX, "…");
    let label = if tasks > 1 {
        format!("{} ×{tasks}", cut(label))
    } else {
        cut(label)
    };
    [label, cut(&models)]
}

fn lay_out(folded: &Folded, boxes: &[[String; 2]]) -> Result<Drawing, LayoutError> {
    let mut layout = Layout::new(GraphOptions {
        directed: true,
        multigraph: false,
        compound: true,
    });
    layout.set_graph(GraphLabel {
        rankdir: RankDir::LR,
        nodesep: 20.0,
        ranksep: 50.0,
        marginx: MARGIN,
        marginy: MARGIN,
        ..GraphLabel::default()
    });
    for (number, words) in boxes.iter().enumerate() {
        let columns = words
            .iter()
            .map(|line| text::width(line))
            .max()
            .unwrap_or(0);
        let width = columns as f64 * CHAR + 2.0 * PADDING;
        let height = LINE * 2.0 + PADDING;
        layout.set_node(
            id(number),
            NodeLabel {
                width,
                height,
                ..NodeLabel::default()
            },
        );
    }
    for (number, stack) in folded.stacks.iter().enumerate() {
        for before in stack.waits.union(&stack.reads) {
            let edge = EdgeLabel {
                minlen: 1,
                weight: 1.0,
                ..EdgeLabel::default()
            };
            layout.set_edge_with_label(id(*before), id(number), edge);
        }
    }
    dugong::layout(&mut layout)?;
    Ok(layout)
}

fn id(stack: usize) -> String {
    format!("s{stack}")
}

/// A polyline through the points.
fn path(points: &[Point]) -> String {
    let mut path = String::new();
    for (number, point) in points.iter().enumerate() {
        let step = if number == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{step}{:.1} {:.1}", point.x, point.y);
    }
    path
}

fn escaped(text: &str) -> String {
    let text = text::line(text);
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
