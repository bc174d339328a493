//! What stands in for kubelets: pods are made to look as a test wants them, as long as it lasts.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Kube, PodLook};

/// How often pods are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How pods look, the newest first: in which cluster (else in all), of which image.
type Looks = Vec<(Option<String>, String, PodLook)>;

/// Makes pods of clusters look ready, but for those whose image is said to be otherwise. Dropped, it stops.
#[derive(Debug)]
pub struct Kubelet {
    looks: Arc<Mutex<Looks>>,
    stop: Arc<AtomicBool>,
    work: Vec<JoinHandle<()>>,
}

impl Kubelet {
    /// Starts to look after the pods of the clusters of these names.
    pub fn start(clusters: &[&str]) -> Self {
        let looks = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        // Each by itself: one that does not answer keeps none of the others waiting.
        let work = clusters.iter().map(|name| {
            let (told, stopped) = (Arc::clone(&looks), Arc::clone(&stop));
            let name = (*name).to_owned();
            thread::spawn(move || {
                let Ok(cluster) = Kube::open(&name) else { return };
                while !stopped.load(Ordering::Relaxed) {
                    let looks = looks_in(&name, &lock(&told));
                    // A cluster that is down for a test is asked again.
                    let _ = cluster.show_all_pods(&looks);
                    thread::sleep(LOOK);
                }
            })
        });
        let work = work.collect();
        Self { looks, stop, work }
    }

    /// From now on pods look `look` whose image contains `image`.
    pub fn show(&self, image: &str, look: PodLook) {
        lock(&self.looks).insert(0, (None, image.to_owned(), look));
    }

    /// The same for the pods of one cluster, by its name.
    pub fn show_in(&self, cluster: &str, image: &str, look: PodLook) {
        lock(&self.looks).insert(0, (Some(cluster.to_owned()), image.to_owned(), look));
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for work in self.work.drain(..) {
            let _ = work.join();
        }
    }
}

/// What is said of the cluster of this name.
fn looks_in(cluster: &str, looks: &Looks) -> Vec<(String, PodLook)> {
    let here = looks.iter().filter(|(of, ..)| of.as_deref().is_none_or(|of| of == cluster));
    here.map(|(_, image, look)| (image.clone(), *look)).collect()
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_one_cluster_holds_there_only() {
        let looks: Looks = vec![
            (Some("east".to_owned()), ":v2".to_owned(), PodLook::NoImage),
            (None, ":v2".to_owned(), PodLook::Crashing),
        ];
        let first = |cluster| looks_in(cluster, &looks)[0].1;
        assert_eq!((first("east"), first("west")), (PodLook::NoImage, PodLook::Crashing));
    }
}
