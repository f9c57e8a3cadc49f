//! `divisi cost`: where the money of a run went, and what it would have been.

use crate::context::Context;
use crate::display::cost::{Bill, cost};
use crate::display::{Look, json, look};
use crate::exit::Exit;
use crate::follow;
use crate::output;
use anyhow::Context as _;
use divisi_app::prices;
use divisi_app::providers::{Candidate, candidates_with_tiers};
use divisi_app::settings::Untrusted;
use divisi_app::{Intent, Problem};
use divisi_core::ledger::{Entry, Ledger, Review};
use divisi_core::{ModelPrice, Position, RunId, Tier, Timestamp};
use divisi_engine::prices::Catalogue;
use divisi_engine::store::Store;
use divisi_engine::{Engine, globs};

/// Show what a run cost: by phase, task, model, token class and attempt
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi cost
  divisi cost k3f9 --top 50
  divisi cost last --json")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// How many tasks to list, dearest first
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    top: usize,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let settings = context.app.settings(Untrusted::LookedAt)?.settings;
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    // Before the journal is read: a process that drives the run now may end it in between.
    let engine = Engine::new(context.app.store()?);
    let is_driven = engine.is_driven(&id).await?;
    let mut ledger = ledger(&*context.app.store()?, &id).await?;
    if !is_driven {
        ledger.end_in_flight();
    }
    let vendors = candidates_with_tiers(&settings, context.app.environment());
    let list = List {
        catalogue: prices::of_runs(&settings)?,
        vendors,
        strongest: Tier::Opus,
    }
    .of(&ledger);
    let review = Review::of(
        &ledger,
        |entry| list.price(entry),
        |entry| list.strongest(entry),
    );
    let ladders = ledger.ladders(|model, at| list.price_of(model, at));
    let strongest = ledger
        .entries()
        .iter()
        .find_map(|entry| list.strongest_name(entry));
    let bill = Bill::new(&id, &ledger, review, ladders, strongest, args.top);
    let text = if context.global.json {
        json::pretty(&bill).context("cannot write the bill")?
    } else {
        let look = Look::of_stdout(follow::is_demo(&engine, &engine.view(&id).await?.0).await?);
        let lines = look.demo_line().into_iter().chain(cost(&bill, &look));
        look::page(&lines.collect::<Vec<_>>(), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

async fn ledger(store: &dyn Store, id: &RunId) -> Result<Ledger, Problem> {
    let (mut ledger, mut position) = (Ledger::default(), Position::default());
    loop {
        let page = store.events(id, position).await?;
        if page.is_empty() {
            return Ok(ledger);
        }
        position = position.after(page.len());
        for recorded in &page {
            ledger.record(recorded.at, &recorded.event);
        }
    }
}

/// Today's prices, applied to the tokens of the run.
struct List {
    catalogue: Catalogue,
    vendors: Vec<Candidate>,
    /// The tier that the run is compared with: opus, or a higher one if the run used that, as in a
    /// plan.
    strongest: Tier,
}

impl List {
    /// The list with the strongest tier that this run used.
    fn of(self, ledger: &Ledger) -> Self {
        let asked = ledger.entries().iter().filter_map(|entry| self.tier(entry));
        Self {
            strongest: asked.max().map_or(Tier::Opus, |most| most.max(Tier::Opus)),
            ..self
        }
    }

    /// The lowest tier whose model is the requested one.
    fn tier(&self, entry: &Entry) -> Option<Tier> {
        let (tiers, asked) = (&self.vendor(entry)?.tiers, entry.asked.as_deref()?);
        Tier::ALL
            .into_iter()
            .find(|tier| tiers.get(tier).is_some_and(|id| id == asked))
    }

    /// The vendor that most likely answered. The journal records only the names of models, and
    /// several vendors may know all names: the one at whose price the reply has cost what was
    /// recorded, else the first that has a price for it, else the first.
    fn vendor(&self, entry: &Entry) -> Option<&Candidate> {
        let fitting = || self.vendors_of(entry.asked.as_deref().or(entry.answered.as_deref()));
        let price = |vendor: &&Candidate| self.price_at(&vendor.name, entry);
        let is_exact = |vendor: &&Candidate| {
            price(vendor).is_some_and(|price| price.cost(&entry.usage) == entry.cost)
        };
        let exact = fitting().find(is_exact);
        exact
            .or_else(|| fitting().find(|vendor| price(vendor).is_some()))
            .or_else(|| fitting().next())
    }

    /// All vendors that know a model.
    fn vendors_of(&self, model: Option<&str>) -> impl Iterator<Item = &Candidate> {
        let fits = move |pattern: &String| {
            let glob = globs::compile(pattern, false);
            glob.is_ok_and(|glob| model.is_some_and(|model| glob.is_match(model)))
        };
        self.vendors
            .iter()
            .filter(move |vendor| vendor.models.iter().any(fits))
    }

    fn price_of(&self, model: &str, at: Timestamp) -> Option<ModelPrice> {
        let names = self.vendors_of(Some(model)).map(|vendor| &*vendor.name);
        names
            .chain([""])
            .find_map(|name| self.catalogue.price(name, model, at))
    }

    /// The price at which it was billed: of the model that answered, or else of the requested one.
    fn price(&self, entry: &Entry) -> Option<ModelPrice> {
        let provider = self.vendor(entry).map_or("", |vendor| &vendor.name);
        self.price_at(provider, entry)
    }

    fn price_at(&self, provider: &str, entry: &Entry) -> Option<ModelPrice> {
        let mut models = entry.answered.iter().chain(&entry.asked);
        models.find_map(|model| self.catalogue.price(provider, model, entry.at))
    }

    fn strongest_name(&self, entry: &Entry) -> Option<String> {
        let tiers = &self.vendor(entry)?.tiers;
        let tiers_down = Tier::ALL
            .into_iter()
            .rev()
            .filter(|tier| *tier <= self.strongest);
        tiers_down
            .filter_map(|tier| tiers.get(&tier))
            .next()
            .cloned()
    }

    fn strongest(&self, entry: &Entry) -> Option<ModelPrice> {
        self.catalogue.price(
            &self.vendor(entry)?.name,
            &self.strongest_name(entry)?,
            entry.at,
        )
    }
}
