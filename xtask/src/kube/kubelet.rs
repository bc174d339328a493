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

/// Makes pods of clusters look ready, but for those whose image is said to be otherwise. Dropped, it stops.
#[derive(Debug)]
pub struct Kubelet {
    looks: Arc<Mutex<Vec<(String, PodLook)>>>,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<()>>,
}

impl Kubelet {
    /// Starts to look after the pods of the clusters of these names.
    pub fn start(clusters: &[&str]) -> Self {
        let looks = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let clusters: Vec<String> = clusters.iter().map(|name| (*name).to_owned()).collect();
        let (told, stopped) = (Arc::clone(&looks), Arc::clone(&stop));
        let work = thread::spawn(move || {
            let clusters: Vec<Kube> =
                clusters.iter().filter_map(|name| Kube::open(name).ok()).collect();
            while !stopped.load(Ordering::Relaxed) {
                let looks = lock(&told).clone();
                // A cluster that is down for a test is asked again.
                for cluster in &clusters {
                    let _ = cluster.show_all_pods(&looks);
                }
                thread::sleep(LOOK);
            }
        });
        Self { looks, stop, work: Some(work) }
    }

    /// From now on pods look `look` whose image contains `image`.
    pub fn show(&self, image: &str, look: PodLook) {
        lock(&self.looks).insert(0, (image.to_owned(), look));
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.work.take().map(JoinHandle::join);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
