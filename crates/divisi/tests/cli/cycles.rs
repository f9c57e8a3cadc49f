//! No module depends on itself through others.
//!
//! Dependencies are read from the source: a module depends on every module in its paths, in a
//! `use`, in an expression or within a macro, and on the origin of a re-exported name. Tests do not
//! count. Modules are compared with their siblings, folder by folder, each together with everything
//! below it. So a folder and the files in it may depend on each other, because they are one idea;
//! two folders, or two files of one folder, may not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, UseTree};

#[test]
fn no_module_depends_on_itself_through_others() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut found, mut modules) = (vec![], 0);
    for entry in std::fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path();
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| folder.join(root));
        let Some(root) = roots.iter().find(|root| root.exists()) else {
            continue;
        };
        let tree = Tree::read(root);
        modules += tree.0.len();
        let name = folder.file_name().unwrap().display().to_string();
        found.extend(tree.cycles().iter().map(|cycle| format!("{name}: {cycle}")));
    }
    assert!(modules > 400, "only {modules} modules are found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn cycles_are_found_however_they_are_written() {
    let cycles = |text: &str| -> Vec<String> {
        let found = Tree::of(text).cycles().into_iter();
        found.map(|cycle| cycle.modules.join(" ")).collect()
    };
    assert_eq!(
        cycles("mod a { use crate::b::B; } mod b { fn f() { super::a::g(); } }"),
        ["a b"]
    );
    assert_eq!(
        cycles("mod a { use crate::b::B; } mod b { use crate::c::C; } mod c { use crate::a::A; }"),
        ["a b c"]
    );
    assert_eq!(
        cycles("pub use b::B; mod a { use crate::B; } mod b { fn f() { say!(crate::a::X); } }"),
        ["a b"],
        "through a re-export of the root, and within a macro"
    );
    assert_eq!(
        cycles("mod a { mod b { use super::c::C; } mod c { use crate::a::b::B; } }"),
        ["b c"],
        "within a folder"
    );
    assert_eq!(
        cycles("mod a { #[cfg(test)] mod tests { use crate::b::B; } } mod b { use crate::a::A; }"),
        [""; 0],
        "tests do not count"
    );
    assert_eq!(
        cycles("mod a { use b::B; mod b { use super::A; } }"),
        [""; 0],
        "a folder and what is in it are one idea"
    );
}

/// The segments of a path; for a module, the path from the root of its crate.
type Segments = Vec<String>;

/// The modules of a crate.
#[derive(Default)]
struct Tree(BTreeMap<Segments, Module>);

#[derive(Default)]
struct Module {
    /// All paths in it.
    paths: Vec<Segments>,
    /// The names imported by its `use` items, with their paths.
    imports: BTreeMap<String, Segments>,
}

/// Dependencies between the modules of one folder: from, to, and a path that shows it.
type Dependencies = BTreeMap<(String, String), String>;

/// Modules of one folder that depend on each other.
struct Cycle {
    folder: Segments,
    modules: Vec<String>,
    /// For each dependency a path that shows it.
    steps: Vec<String>,
}

impl std::fmt::Display for Cycle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (modules, folder) = (self.modules.join(", "), self.folder.join("::"));
        writeln!(f, "{modules} in `crate::{folder}`")?;
        let mut steps = self.steps.iter();
        steps.try_for_each(|step| writeln!(f, "    {step}"))
    }
}

impl Tree {
    fn read(root: &Path) -> Self {
        let mut tree = Self::default();
        tree.add_file(vec![], root, root.parent().unwrap());
        tree
    }

    fn of(text: &str) -> Self {
        let mut tree = Self::default();
        let items = syn::parse_file(text).unwrap().items;
        tree.add(vec![], &items, Path::new("nowhere"));
        tree
    }

    /// Adds the module in `file`; the files of its children are in `folder`.
    fn add_file(&mut self, module: Segments, file: &Path, folder: &Path) {
        let text = std::fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.add(module, &parsed.items, folder);
    }

    fn add(&mut self, name: Segments, items: &[Item], folder: &Path) {
        let mut module = Module::default();
        for item in items.iter().filter(|item| !is_test(attributes(item))) {
            module.visit_item(item);
            match item {
                Item::Use(item) => flatten(&item.tree, &[], &mut |name, path| {
                    module.imports.insert(name, path);
                }),
                Item::Mod(child) => {
                    let ident = child.ident.to_string();
                    let (flat, below) = (folder.join(format!("{ident}.rs")), folder.join(&ident));
                    let name = [&name[..], &[ident]].concat();
                    match &child.content {
                        Some((_, items)) => self.add(name, items, &below),
                        None if flat.exists() => self.add_file(name, &flat, &below),
                        None => self.add_file(name, &below.join("mod.rs"), &below),
                    }
                }
                _ => {}
            }
        }
        self.0.insert(name, module);
    }

    /// Follows `path`, which occurs in the module `at`, and reports each module on the way. `hops`
    /// limits how often a name may be re-exported.
    fn follow(&self, at: &[String], path: &[String], hops: usize, tell: &mut impl FnMut(Segments)) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        match (first.as_str(), at.split_last()) {
            ("crate", _) => self.descend(&[], rest, hops, tell),
            ("self", _) => self.descend(at, rest, hops, tell),
            ("super", Some((_, parent))) => self.follow(parent, rest, hops, tell),
            _ => self.descend(at, path, hops, tell),
        }
    }

    /// The same for a path whose first segment is resolved in `at`.
    fn descend(
        &self,
        at: &[String],
        path: &[String],
        hops: usize,
        tell: &mut impl FnMut(Segments),
    ) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let child = [at, std::slice::from_ref(first)].concat();
        if self.0.contains_key(&child) {
            tell(child.clone());
            self.descend(&child, rest, hops, tell);
        } else if let (Some(import), 1..) = (self.0[at].imports.get(first), hops) {
            self.follow(at, &[import, rest].concat(), hops - 1, tell);
        }
    }

    /// The dependencies between siblings, by their folder.
    fn dependencies(&self) -> BTreeMap<Segments, Dependencies> {
        const HOPS_MAX: usize = 8;
        let mut all: BTreeMap<Segments, Dependencies> = BTreeMap::new();
        for (from, module) in &self.0 {
            for path in &module.paths {
                self.follow(from, path, HOPS_MAX, &mut |to| {
                    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                    let (Some(own), Some(other)) = (from.get(common), to.get(common)) else {
                        return;
                    };
                    let folder = all.entry(from[..common].to_vec()).or_default();
                    folder
                        .entry((own.clone(), other.clone()))
                        .or_insert_with(|| format!("{} has {}", from.join("::"), path.join("::")));
                });
            }
        }
        all
    }

    fn cycles(&self) -> Vec<Cycle> {
        let mut cycles = vec![];
        for (folder, dependencies) in self.dependencies() {
            let all: BTreeSet<&str> = dependencies.keys().map(|(from, _)| &**from).collect();
            let reached = all.iter().map(|from| (*from, reached(&dependencies, from)));
            let reached: BTreeMap<&str, BTreeSet<&str>> = reached.collect();
            for from in &all {
                let leads = |from: &str, to: &str| {
                    let reached = reached.get(from);
                    reached.is_some_and(|reached| reached.contains(to))
                };
                let is_in = |module: &str| leads(from, module) && leads(module, from);
                let modules: Vec<&str> = all.iter().copied().filter(|to| is_in(to)).collect();
                // Each cycle is reported once, by its first module.
                if modules.first() != Some(from) {
                    continue;
                }
                let steps = dependencies.iter();
                let steps = steps.filter(|((own, other), _)| is_in(own) && is_in(other));
                cycles.push(Cycle {
                    folder: folder.clone(),
                    steps: steps
                        .map(|((own, other), path)| format!("{own} → {other}: {path}"))
                        .collect(),
                    modules: modules.into_iter().map(str::to_owned).collect(),
                });
            }
        }
        cycles
    }
}

/// Everything that `from` depends on, directly or through others.
fn reached<'a>(dependencies: &'a Dependencies, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left = vec![from];
    while let Some(from) = left.pop() {
        let next = dependencies.keys().filter(|(own, _)| own == from);
        left.extend(next.map(|(_, to)| &**to).filter(|to| reached.insert(*to)));
    }
    reached
}

impl<'ast> Visit<'ast> for Module {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            item if is_test(attributes(item)) => {}
            // Visited as a module of its own.
            Item::Mod(_) => {}
            Item::Use(item) => flatten(&item.tree, &[], &mut |_, path| self.paths.push(path)),
            item => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Fn(function) if is_test(&function.attrs) => {}
            item => visit::visit_impl_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter();
            let segments = segments.map(|segment| segment.ident.to_string());
            self.paths.push(segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let text = called.tokens.to_string().replace(" :: ", "::");
        let words = text.split(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
        let paths = words.map(|word| word.split("::").map(str::to_owned).collect());
        self.paths
            .extend(paths.filter(|path: &Segments| path.len() > 1));
        visit::visit_macro(self, called);
    }
}

/// Reports each name that a `use` item imports, with its path.
fn flatten(tree: &UseTree, before: &[String], tell: &mut impl FnMut(String, Segments)) {
    let with = |ident: &syn::Ident| match ident == "self" {
        true => before.to_vec(),
        false => [before, &[ident.to_string()]].concat(),
    };
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), tell),
        UseTree::Name(name) => {
            let path = with(&name.ident);
            tell(path.last().cloned().unwrap_or_default(), path);
        }
        UseTree::Rename(name) => tell(name.rename.to_string(), with(&name.ident)),
        UseTree::Glob(_) => tell("*".to_owned(), before.to_vec()),
        UseTree::Group(group) => {
            let trees = group.items.iter();
            trees.for_each(|tree| flatten(tree, before, tell));
        }
    }
}

/// Whether an item is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    let condition = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => Some(list.tokens.to_string()),
        Meta::List(_) | Meta::Path(_) | Meta::NameValue(_) => None,
    };
    let conditions = attributes.iter().filter_map(condition);
    conditions
        .map(|condition| condition.replace(' ', ""))
        .any(|condition| condition == "test" || condition.starts_with("all(test,"))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
