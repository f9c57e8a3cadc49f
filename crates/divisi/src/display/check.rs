//! The checklist before a run.

use super::look::{Line, Look, Tone};
use super::number;
use divisi_core::preflight::Checklist;
use divisi_core::preflight::checklist::{Finding, Item, Verdict};

/// Findings shown for each question; `--json` has all.
const TOLD_MAX: usize = 20;
/// Columns of the longest question, and two before the answer.
const QUESTION_COLUMNS: usize = 32;

/// The six questions with their answers: about six lines if all is well.
pub(crate) fn checklist(list: &Checklist, look: &Look) -> Vec<Line> {
    list.items
        .iter()
        .flat_map(|item| told(item, look))
        .collect()
}

fn told(item: &Item, look: &Look) -> Vec<Line> {
    let question = Line::new().join(sign(item.verdict, look)).plain(" ");
    let mut evidence = item.evidence.iter().map(String::as_str);
    let first = evidence
        .next()
        .or((item.verdict == Verdict::Unknown).then_some("cannot be said"));
    let mut lines = vec![match first {
        Some(first) => question
            .put(
                Tone::Strong,
                format!("{:<QUESTION_COLUMNS$}", item.question.text()),
            )
            .put(Tone::Dim, first),
        None => question.put(Tone::Strong, item.question.text()),
    }];
    lines.extend(
        evidence.map(|more| Line::of(Tone::Dim, format!("{:1$}{more}", "", QUESTION_COLUMNS + 2))),
    );
    lines.extend(
        item.findings
            .iter()
            .take(TOLD_MAX)
            .flat_map(|finding| of(finding, look)),
    );
    if let more @ 1.. = item.findings.len().saturating_sub(TOLD_MAX) {
        let more = number::counted(more as u64, "other finding", "other findings");
        lines.push(Line::of(
            Tone::Dim,
            format!("    and {more}; --json has all"),
        ));
    }
    lines
}

fn of(finding: &Finding, look: &Look) -> Vec<Line> {
    let mut line = Line::new()
        .plain("  ")
        .join(sign(finding.verdict, look))
        .plain(" ");
    if let Some(site) = &finding.site {
        line = line.put(Tone::Busy, site.to_string()).plain("  ");
    }
    line = line.plain(&finding.what);
    line = match (finding.money, finding.time) {
        (Some(money), _) => line.put(Tone::Warn, format!("{}{money}", look.dot())),
        (None, Some(time)) => line.put(Tone::Warn, format!("{}{}", look.dot(), number::took(time))),
        (None, None) => line,
    };
    let advice = (!finding.change.is_empty())
        .then(|| Line::of(Tone::Dim, format!("    {}", finding.change)));
    [line].into_iter().chain(advice).collect()
}

fn sign(verdict: Verdict, look: &Look) -> Line {
    match verdict {
        Verdict::Ok => Line::of(Tone::Good, look.ok()),
        Verdict::Unknown => Line::of(Tone::Dim, look.skipped()),
        Verdict::Warning => Line::of(Tone::Warn, "!"),
        Verdict::Wrong => Line::of(Tone::Bad, look.failed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::look;
    use divisi_core::Site;
    use divisi_core::preflight::{Graph, checklist as ask};

    #[test]
    fn each_answer_has_its_sign_and_each_finding_its_line() {
        let look = Look {
            color: false,
            unicode: true,
            width: 80,
            demo: false,
        };
        let nothing = ask(&Graph::default(), None, &Default::default());
        insta::assert_snapshot!(look::page(&checklist(&nothing, &look), &look), @r"
        ! pattern identified?
          ! it asks for no task when it is run on placeholders
            if it needs arguments, give them with `--args`
        ✓ dependencies mapped?            0 tasks, no result goes from one to another
        ✓ parallelisation opportunities?  nothing runs at the same time
        ✓ right model per agent?          no task has a model
        ! cost estimated?
          ! nothing is known of its cost
            `divisi plan` says why
          ! no cap
            run it with `--max-cost`, or set `cost_max` in the settings
        ✓ error handling planned?
        ");
        let site = Some(Site {
            script: "plan.yaml".into(),
            line: 3,
        });
        let finding = |n| Finding::wrong(site.clone(), format!("finding {n}"), "change it");
        let refused = Checklist::refused((0..22).map(finding).collect());
        let page = look::page(
            &checklist(
                &refused,
                &Look {
                    unicode: false,
                    ..look
                },
            ),
            &look,
        );
        let lines: Vec<&str> = page.lines().collect();
        insta::assert_snapshot!([&lines[..4], &lines[39..]].concat().join("\n"), @r"
        - pattern identified?             cannot be said
        x dependencies mapped?
          x plan.yaml:3  finding 0
            change it
            change it
          x plan.yaml:3  finding 19
            change it
            and 2 other findings; --json has all
        - parallelisation opportunities?  cannot be said
        - right model per agent?          cannot be said
        - cost estimated?                 cannot be said
        - error handling planned?         cannot be said
        ");
    }
}
