//! A plan as a page: phases, groups and tasks, waves, and what is unknown.

use super::fold::{Folded, GroupFold};
use super::{models, order, place};
use crate::display::look::{Line, Look, Tone, page_within};
use crate::display::number::counted;
use crate::text;
use divisi_core::Site;
use divisi_core::event::GroupKind;
use divisi_core::preflight::{Graph, Node, Remark};

/// Columns of a label before it is cut.
const LABEL_COLUMNS_MAX: usize = 44;

/// Waves listed; a flow with more is a chain, described by its length.
const WAVES_SHOWN_MAX: usize = 12;

/// Steps of the longest chain that are named.
const CHAIN_SHOWN_MAX: usize = 8;

/// Phases without a task that are named.
const PHASES_SHOWN_MAX: usize = 4;

/// Stacks that are named if one reads many.
const READS_SHOWN_MAX: usize = 4;

/// Tasks that are named if one waits for many.
const PLACES_SHOWN_MAX: usize = 6;

/// The page of a plan. `money` is printed below the tree; `all` lists every task.
pub(crate) fn render(graph: &Graph, money: Option<Vec<Line>>, all: bool, look: &Look) -> String {
    let mut lines = vec![head(graph, look), Line::new()];
    if all {
        lines.extend(tasks(graph, look));
    } else {
        lines.extend(
            Tree {
                graph,
                folded: Folded::of(graph, false),
                look,
            }
            .lines(),
        );
    }
    lines.extend(follow(graph, look));
    lines.extend(money.into_iter().flatten());
    lines.extend(open(graph));
    lines.extend(warnings(graph));
    lines.extend(broken_off(graph));
    if graph.tasks.is_empty() && graph.broke_off.is_none() {
        lines.push(Line::new().plain("It has no tasks. Does it need arguments?"));
    }
    page_within(&lines, look)
}

fn head(graph: &Graph, look: &Look) -> Line {
    let waves = order::waves(graph).len();
    Line::of(Tone::Strong, &*graph.name)
        .plain(look.dot())
        .plain(counted(graph.tasks.len() as u64, "task", "tasks"))
        .plain(look.dot())
        .plain(counted(waves as u64, "wave", "waves"))
}

/// The tree.
struct Tree<'a> {
    graph: &'a Graph,
    folded: Folded,
    look: &'a Look,
}

/// One line of the tree before column widths are known.
struct Row {
    indent: usize,
    label: Line,
    rest: Line,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Group(usize),
    Stack(usize),
}

impl Tree<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut rows = vec![];
        let mut phase = None;
        for item in self.children(None) {
            let here = self.phase_of(item);
            if here != phase && here.is_some() {
                let title = here.as_deref().unwrap_or_default();
                rows.push(Row {
                    indent: 0,
                    label: Line::of(Tone::Strong, title),
                    rest: Line::new(),
                });
            }
            phase = here;
            self.add(
                item,
                usize::from(phase.is_some()),
                phase.as_deref(),
                &mut rows,
            );
        }
        let widest = rows
            .iter()
            .filter(|row| row.rest.width() > 0)
            .map(|row| row.indent * 2 + row.label.width());
        let columns = widest.max().unwrap_or(0);
        rows.into_iter().map(|row| row.line(columns)).collect()
    }

    /// The items directly in a group, or in none, in the order of their first tasks.
    fn children(&self, parent: Option<usize>) -> Vec<Item> {
        let mut children = vec![];
        for (stack, found) in self.folded.stacks.iter().enumerate() {
            let mut item = Item::Stack(stack);
            let mut above = found.group;
            while above != parent {
                let Some(group) = above else { break };
                item = Item::Group(group);
                above = self.folded.groups[group].parent;
            }
            if above == parent && !children.contains(&item) {
                children.push(item);
            }
        }
        children
    }

    /// The phase of the first task.
    fn phase_of(&self, item: Item) -> Option<std::sync::Arc<str>> {
        match item {
            Item::Stack(stack) => self.folded.stacks[stack].phase.clone(),
            Item::Group(group) => self
                .children(Some(group))
                .first()
                .and_then(|first| self.phase_of(*first)),
        }
    }

    fn add(&self, item: Item, indent: usize, phase: Option<&str>, rows: &mut Vec<Row>) {
        match item {
            Item::Stack(stack) => rows.push(self.stack(stack, indent, phase)),
            Item::Group(group) => {
                rows.push(Row {
                    indent,
                    label: self.group(&self.folded.groups[group]),
                    rest: Line::new(),
                });
                for child in self.children(Some(group)) {
                    self.add(child, indent + 1, phase, rows);
                }
            }
        }
    }

    fn group(&self, group: &GroupFold) -> Line {
        let kind = match group.kind {
            GroupKind::Parallel => "parallel",
            GroupKind::Pipeline => "pipeline",
            GroupKind::Decompose => "decompose",
        };
        let times = self.look.times();
        let width = match (group.widths.first(), group.widths.last()) {
            (Some(least), Some(most)) if least != most => format!(" {times}{least} to {most}"),
            (_, Some(width)) => format!(" {times}{width}"),
            _ => String::new(),
        };
        let line = Line::of(Tone::Busy, kind).plain(width);
        let line = if group.guessed {
            line.put(Tone::Warn, " assumed")
        } else {
            line
        };
        let line = if group.times > 1 {
            line.plain(format!(", {} times", group.times))
        } else {
            line
        };
        match &group.site {
            Some(site) => line.put(Tone::Dim, format!("  {}", place(site))),
            None => line,
        }
    }

    fn stack(&self, stack: usize, indent: usize, phase: Option<&str>) -> Row {
        let found = &self.folded.stacks[stack];
        let node = &self.graph.tasks[found.tasks[0]];
        let label = short(&found.label, LABEL_COLUMNS_MAX, self.look);
        let mut label = Line::new().plain(label);
        if found.tasks.len() > 1 {
            label = label.plain(format!(" {}{}", self.look.times(), found.tasks.len()));
        }
        let mut rest = model(node, self.look);
        if let Some(other) = found.phase.as_deref().filter(|other| Some(*other) != phase) {
            rest = rest.plain(self.look.dot()).plain(format!("phase {other}"));
        }
        if !found.reads.is_empty() {
            let names: Vec<String> = found
                .reads
                .iter()
                .take(READS_SHOWN_MAX)
                .map(|read| self.short_name(*read))
                .collect();
            let more = match found.reads.len().saturating_sub(READS_SHOWN_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            rest = rest
                .plain(self.look.dot())
                .plain(format!("reads {}{more}", names.join(", ")));
        }
        Row {
            indent,
            label,
            rest,
        }
    }

    fn short_name(&self, stack: usize) -> String {
        let found = &self.folded.stacks[stack];
        let label = short(&found.label, LABEL_COLUMNS_MAX / 2, self.look);
        match found.tasks.len() {
            1 => label,
            tasks => format!("{label} {}{tasks}", self.look.times()),
        }
    }
}

impl Row {
    fn line(self, columns: usize) -> Line {
        let indent = " ".repeat(self.indent * 2);
        if self.rest.width() == 0 {
            return Line::new().plain(indent).join(self.label);
        }
        let gap = (columns + 2)
            .saturating_sub(indent.len() + self.label.width())
            .max(2);
        Line::new()
            .plain(indent)
            .join(self.label)
            .plain(" ".repeat(gap))
            .join(self.rest)
    }
}

/// A label cut to `columns`.
fn short(label: &str, columns: usize, look: &Look) -> String {
    let label = text::line(label).replace('…', look.ellipsis());
    text::cut(&label, columns, look.ellipsis())
}

/// The model of a task and why it was chosen, or why there is none.
fn model(node: &Node, look: &Look) -> Line {
    match &node.assigned {
        Ok(assigned) => {
            let models = models(node, look.arrow()).unwrap_or_default();
            Line::of(Tone::Good, models).put(Tone::Dim, format!(" ({})", assigned.why))
        }
        Err(failure) => Line::of(Tone::Bad, format!("{} {}", look.failed(), failure.message)),
    }
}

/// Every task, one a line.
fn tasks(graph: &Graph, look: &Look) -> Vec<Line> {
    let digits = graph.tasks.len().saturating_sub(1).to_string().len() + 1;
    let line = |(number, node): (usize, &Node)| {
        let label = short(&node.label(), LABEL_COLUMNS_MAX, look);
        let id = format!("t{number}");
        let mut line = Line::of(Tone::Dim, format!("{id:<digits$}  "))
            .plain(label)
            .plain("  ")
            .join(model(node, look));
        if !node.waits.is_empty() {
            line = line
                .plain(look.dot())
                .plain(format!("after {}", places(&node.waits, look)));
        }
        if !node.reads.is_empty() {
            line = line
                .plain(look.dot())
                .plain(format!("reads {}", places(&node.reads, look)));
        }
        match &node.site {
            Some(site) => line.put(Tone::Dim, format!("  {}", place(site))),
            None => line,
        }
    };
    graph.tasks.iter().enumerate().map(line).collect()
}

fn places(places: &[usize], look: &Look) -> String {
    let shown: Vec<String> = places
        .iter()
        .take(PLACES_SHOWN_MAX)
        .map(|place| format!("t{place}"))
        .collect();
    match places.len() {
        all if all > PLACES_SHOWN_MAX => format!("{} {} ({all})", shown.join(" "), look.ellipsis()),
        _ => shown.join(" "),
    }
}

/// The order of the tasks.
fn follow(graph: &Graph, look: &Look) -> Vec<Line> {
    let waves: Vec<usize> = order::waves(graph).iter().map(Vec::len).collect();
    if waves.len() < 2 {
        return vec![];
    }
    let shown: Vec<String> = waves
        .iter()
        .take(WAVES_SHOWN_MAX)
        .map(ToString::to_string)
        .collect();
    let more = if waves.len() > WAVES_SHOWN_MAX {
        format!(", {}", look.ellipsis())
    } else {
        String::new()
    };
    let chain = order::longest(graph);
    let name = |place: &usize| {
        short(
            &super::fold::readable(&graph.tasks[*place].label()),
            LABEL_COLUMNS_MAX / 2,
            look,
        )
    };
    let mut names: Vec<String> = chain.iter().map(name).collect();
    if names.len() > CHAIN_SHOWN_MAX {
        let last = names.split_off(names.len() - 2);
        names.truncate(CHAIN_SHOWN_MAX - 3);
        names.push(look.ellipsis().to_owned());
        names.extend(last);
    }
    vec![
        Line::new(),
        Line::of(Tone::Strong, "Waves  ").plain(format!("{}{more}", shown.join(", "))),
        Line::of(Tone::Strong, "Longest chain  ").plain(format!(
            "{}: {}",
            counted(chain.len() as u64, "step", "steps"),
            names.join(look.arrow())
        )),
    ]
}

/// What is known only when the flow runs.
fn open(graph: &Graph) -> Vec<Line> {
    let all: Vec<Remark> = graph.open.iter().cloned().chain(unreached(graph)).collect();
    if all.is_empty() {
        return vec![];
    }
    remarks(Line::of(Tone::Strong, "Not known before the run"), &all)
}

/// The phases without a planned task, one remark for each reason.
fn unreached(graph: &Graph) -> Vec<Remark> {
    let mut reasons: Vec<(&str, Option<Site>, Vec<&str>)> = vec![];
    for phase in &graph.unreached {
        match reasons.iter_mut().find(|(why, ..)| *why == phase.why) {
            Some((.., phases)) => phases.push(&phase.phase),
            None => reasons.push((&phase.why, phase.site.clone(), vec![&phase.phase])),
        }
    }
    let remark = |(why, site, phases): (&str, Option<Site>, Vec<&str>)| {
        let shown = phases.iter().take(PHASES_SHOWN_MAX).copied();
        let shown = shown.collect::<Vec<_>>().join(", ");
        let more = match phases.len().saturating_sub(PHASES_SHOWN_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Remark {
            what: format!("no task is planned in {shown}{more}: {why}"),
            site,
        }
    };
    reasons.into_iter().map(remark).collect()
}

/// Probable mistakes of the author.
fn warnings(graph: &Graph) -> Vec<Line> {
    let all: Vec<Remark> = graph
        .warnings
        .iter()
        .chain(&graph.strays)
        .cloned()
        .collect();
    if all.is_empty() {
        return vec![];
    }
    remarks(Line::of(Tone::Warn, "Warnings"), &all)
}

fn remarks(title: Line, remarks: &[Remark]) -> Vec<Line> {
    let line = |remark: &Remark| {
        let line = Line::new().plain(format!("  {}", remark.what));
        match &remark.site {
            Some(site) => line.put(Tone::Dim, format!("  {}", place(site))),
            None => line,
        }
    };
    [Line::new(), title]
        .into_iter()
        .chain(remarks.iter().map(line))
        .collect()
}

fn broken_off(graph: &Graph) -> Vec<Line> {
    let Some(why) = &graph.broke_off else {
        return vec![];
    };
    vec![
        Line::new(),
        Line::of(Tone::Bad, "The plan ends early: ").plain(&why.what),
        Line::new().plain("  In a plan results are placeholders that fit their schemas, and `args` is what the command gives."),
    ]
}
