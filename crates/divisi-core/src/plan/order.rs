//! Order in a graph given as needs: for each index the indices it needs.
//!
//! No function is recursive, because a chain may be as long as a plan.

/// The indices of one cycle: each needs the next one. `None` if there is no cycle.
pub(super) fn cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut ordered = vec![false; needs.len()];
    for place in topological(needs) {
        ordered[place] = true;
    }
    // An index without order needs another one without order. Following such needs must reach an
    // index for the second time.
    let mut place = ordered.iter().position(|&done| !done)?;
    let mut seen_at = vec![None; needs.len()];
    let mut walk = Vec::new();
    while seen_at[place].is_none() {
        seen_at[place] = Some(walk.len());
        walk.push(place);
        place = needs[place].iter().copied().find(|&need| !ordered[need])?;
    }
    seen_at[place].map(|start| walk.split_off(start))
}

/// For each place the length of the longest chain of needs below it.
pub(super) fn depths(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut depths = vec![0; needs.len()];
    for place in topological(needs) {
        depths[place] = needs[place]
            .iter()
            .map(|&need| depths[need] + 1)
            .max()
            .unwrap_or(0);
    }
    depths
}

/// For each place the length of the longest chain that waits for it.
pub(super) fn chains(needs: &[Vec<usize>]) -> Vec<u32> {
    chains_in(&topological(needs), needs.len(), |place| &needs[place])
}

/// The same for a graph whose needs all precede the index. Among tasks that may start, a run starts
/// the one with the longest chain, and then the earliest.
pub fn priorities<'n>(count: usize, needs: impl Fn(usize) -> &'n [usize]) -> Vec<u32> {
    let order: Vec<usize> = (0..count).collect();
    chains_in(&order, count, needs)
}

/// `order` lists each index after all that it needs.
fn chains_in<'n>(order: &[usize], count: usize, needs: impl Fn(usize) -> &'n [usize]) -> Vec<u32> {
    let mut chains = vec![0; count];
    for &place in order.iter().rev() {
        for &need in needs(place) {
            chains[need] = chains[need].max(chains[place] + 1);
        }
    }
    chains
}

/// Each index after all that it needs. Indices in a cycle, or depending on one, are left out.
fn topological(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut needed_by = vec![Vec::new(); needs.len()];
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    for (place, needs) in needs.iter().enumerate() {
        for &need in needs {
            needed_by[need].push(place);
        }
    }
    let mut order: Vec<usize> = (0..needs.len()).filter(|&place| open[place] == 0).collect();
    let mut next = 0;
    while next < order.len() {
        for &above in &needed_by[order[next]] {
            open[above] -= 1;
            if open[above] == 0 {
                order.push(above);
            }
        }
        next += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diamond_has_three_depths() {
        let needs = [vec![], vec![0], vec![0], vec![1, 2]];
        assert_eq!(cycle(&needs), None);
        assert_eq!(depths(&needs), [0, 1, 1, 2]);
        assert_eq!(chains(&needs), [2, 1, 1, 0]);
    }

    #[test]
    fn a_cycle_is_named_without_what_leads_to_it() {
        let needs = [vec![1], vec![2], vec![1], vec![]];
        assert_eq!(cycle(&needs), Some(vec![1, 2]));
    }

    #[test]
    fn long_chains_need_no_stack() {
        let needs: Vec<Vec<usize>> = (0..100_000usize)
            .map(|place| place.checked_sub(1).into_iter().collect())
            .collect();
        assert_eq!(depths(&needs)[99_999], 99_999);
        assert_eq!(chains(&needs)[0], 99_999);
    }
}
