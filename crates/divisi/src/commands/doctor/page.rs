//! The doctor's findings as text for a terminal.

use super::report::{
    AgentFound, Finding, Key, ModelFound, ProgramFound, ProviderFound, Report, ServerFound,
    SettingFound,
};
use crate::display::look;
use crate::display::{Line, Look, Tone};

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// The whole page: the answer, then what it is based on. Defaults are listed if `with_defaults`.
pub(super) fn page(report: &Report, with_defaults: bool, look: &Look) -> String {
    let mut lines = vec![Line::of(Tone::Strong, format!("divisi {}", report.version))];
    lines.push(Line::new());
    lines.extend(verdict(report));
    section(&mut lines, "Keys", keys(report));
    section(&mut lines, "Providers", providers(report));
    section(&mut lines, "Agent programs", programs(report));
    if !report.mcp_servers.is_empty() {
        section(&mut lines, "MCP servers", servers(report));
    }
    section(&mut lines, "Models", models(report));
    section(&mut lines, "Settings", settings(report, with_defaults));
    section(&mut lines, "Store", store(report));
    section(&mut lines, "Agents", agents(report));
    look::page(&lines, look)
}

/// The answer alone.
pub(super) fn answer(report: &Report, look: &Look) -> String {
    look::page(&verdict(report), look)
}

fn section(lines: &mut Vec<Line>, title: &str, inner: Vec<Line>) {
    lines.push(Line::new());
    lines.push(Line::of(Tone::Strong, title));
    lines.extend(
        inner
            .into_iter()
            .map(|line| Line::new().plain("  ").join(line)),
    );
}

fn keys(report: &Report) -> Vec<Line> {
    let width = width(report.keys.iter().map(|key| key.variable.as_str()));
    let line = |key: &Key| {
        let name = Line::new().plain(format!("{:<width$}  ", key.variable));
        match key.set {
            true => name.put(Tone::Good, "set"),
            false => name.put(Tone::Dim, "not set"),
        }
    };
    report.keys.iter().map(line).collect()
}

fn providers(report: &Report) -> Vec<Line> {
    let states: Vec<(Tone, String)> = report.providers.iter().map(state).collect();
    let names = width(
        report
            .providers
            .iter()
            .map(|provider| provider.name.as_str()),
    );
    let columns = width(states.iter().map(|(_, state)| state.as_str()));
    let line = |(provider, (tone, state)): (&ProviderFound, &(Tone, String))| {
        let omits = match provider.omits.as_slice() {
            [] => String::new(),
            omits => format!(", without {}", omits.join(", ")),
        };
        Line::new()
            .plain(format!("{:<names$}  ", provider.name))
            .put(*tone, format!("{state:<columns$}"))
            .put(Tone::Dim, format!("  {}{omits}", provider.url))
    };
    let mut lines: Vec<Line> = report.providers.iter().zip(&states).map(line).collect();
    let servers = report
        .providers
        .iter()
        .filter(|provider| provider.found == "local")
        .count();
    if !report.local {
        lines.push(Line::of(
            Tone::Dim,
            "model servers on this machine are not looked for (`local = false`)",
        ));
    } else if servers == 0 {
        lines.push(Line::of(
            Tone::Dim,
            "no model server answers on this machine",
        ));
    }
    lines
}

fn state(provider: &ProviderFound) -> (Tone, String) {
    match (&provider.needs, provider.default) {
        (Some(key), _) => (Tone::Dim, format!("needs {key}")),
        (None, default) => {
            let (tone, state) = match provider.answers {
                None => (Tone::Good, "ready"),
                Some(true) => (Tone::Good, "answers"),
                Some(false) => (Tone::Warn, "does not answer as it should"),
            };
            let taken = if default { ", taken by default" } else { "" };
            (tone, format!("{state}{taken}"))
        }
    }
}

fn programs(report: &Report) -> Vec<Line> {
    let width = width(report.agent_programs.iter().map(|found| &*found.name));
    let line = |found: &ProgramFound| {
        let tone = if found.ready { Tone::Good } else { Tone::Dim };
        let line = Line::new()
            .plain(format!("{:<width$}  ", found.name))
            .put(tone, &found.state);
        match &found.version {
            Some(version) => line.put(Tone::Dim, format!("  {version}")),
            None => line,
        }
    };
    report.agent_programs.iter().map(line).collect()
}

fn servers(report: &Report) -> Vec<Line> {
    let width = width(report.mcp_servers.iter().map(|found| found.name.as_str()));
    let line = |found: &ServerFound| {
        let tone = if found.ready { Tone::Good } else { Tone::Dim };
        Line::new()
            .plain(format!("{:<width$}  ", found.name))
            .put(tone, &found.state)
    };
    report.mcp_servers.iter().map(line).collect()
}

fn models(report: &Report) -> Vec<Line> {
    if report.models.is_empty() {
        return vec![Line::of(
            Tone::Dim,
            "none; `--demo` runs a flow on scripted answers",
        )];
    }
    let line = |model: &ModelFound| {
        let line = Line::new().plain(format!("{:<8}{}", model.tier, model.model));
        if model.default {
            line.put(Tone::Good, "  taken by default")
        } else {
            line
        }
    };
    report.models.iter().map(line).collect()
}

fn settings(report: &Report, with_defaults: bool) -> Vec<Line> {
    let is_shown = |setting: &&SettingFound| with_defaults || !setting.is_default();
    let shown: Vec<&SettingFound> = report.settings.iter().filter(is_shown).collect();
    let texts: Vec<String> = shown
        .iter()
        .map(|s| format!("{} = {}", s.name, s.value))
        .collect();
    let width = width(texts.iter().map(String::as_str)).min(60);
    let line = |(text, setting): (&String, &&SettingFound)| {
        Line::new()
            .plain(format!("{text:<width$}  "))
            .put(Tone::Dim, &setting.origin)
    };
    let mut lines: Vec<Line> = texts.iter().zip(&shown).map(line).collect();
    let defaults = report.settings.len() - shown.len();
    if defaults > 0 {
        let rest = format!("{defaults} have their defaults, which `--verbose` lists");
        lines.push(Line::of(Tone::Dim, rest));
    }
    lines
}

fn store(report: &Report) -> Vec<Line> {
    let store = &report.store;
    let runs = match (store.exists, store.runs) {
        (false, _) => "not there yet; the first run makes it".to_owned(),
        (true, 1) => format!("format {}, 1 run", store.format),
        (true, runs) => format!("format {}, {runs} runs", store.format),
    };
    let free = store
        .free_bytes
        .map(|free| format!(", {:.1} GiB free", free as f64 / GIB))
        .unwrap_or_default();
    vec![
        Line::new().plain(&store.path),
        Line::of(Tone::Dim, format!("{runs}{free}")),
    ]
}

fn agents(report: &Report) -> Vec<Line> {
    let width = width(report.agents.iter().map(|agent| agent.name.as_str()));
    let line = |agent: &AgentFound| {
        let name = Line::new().plain(format!("{:<width$}  ", agent.name));
        name.put(Tone::Dim, agent.file.as_deref().unwrap_or("built in"))
    };
    report.agents.iter().map(line).collect()
}

fn verdict(report: &Report) -> Vec<Line> {
    let default = report.models.iter().find(|model| model.default);
    let mut lines = vec![match (report.can_run, default) {
        (true, None) if let Some(program) = report.executor => {
            Line::of(Tone::Good, "runs can start").plain(format!(", carried out by {program}"))
        }
        (true, Some(model)) => Line::of(Tone::Good, "runs can start")
            .plain(format!(", by default on {} ({})", model.model, model.tier)),
        (true, None) => Line::of(Tone::Good, "runs can start"),
        (false, _) => Line::of(Tone::Warn, "runs cannot start"),
    }];
    lines.extend(report.findings.iter().flat_map(finding));
    lines
}

fn finding(finding: &Finding) -> Vec<Line> {
    let mut lines = vec![Line::of(Tone::Warn, "problem: ").plain(&finding.what)];
    let hints = finding.hint.iter().flat_map(|hint| hint.lines());
    lines.extend(hints.map(|hint| Line::new().plain(format!("  hint: {hint}"))));
    lines
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts
        .map(|text| text.chars().count())
        .max()
        .unwrap_or_default()
}
