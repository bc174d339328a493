//! What holds of operated services whatever goes wrong, and whenever somebody presses Ctrl-C.

use deploy_core::{
    plan::{Action, Goal},
    record::{End, EventKind},
};
use proptest::prelude::*;

use super::{
    properties::{assert_within_budget, run, shapes, stops, troubles_in},
    rig::*,
};

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Start),
        Just(Action::Stop),
        Just(Action::Restart),
        Just(Action::Reload)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn faults_and_stops_never_break_an_operation(
        shape in shapes(),
        troubles in troubles_in(vec![
            Deed::Live, Deed::Promote, Deed::State, Deed::Operate, Deed::Check, Deed::Evidence,
            Deed::Finalize,
        ]),
        stops in stops(),
        action in actions(),
        soak in any::<bool>(),
        ill in any::<bool>(),
    ) {
        let mut story = shape.story();
        if ill {
            story = story.broken("v1");
        }
        shape.trouble(&story, &troubles);
        let undisturbed = stops.is_empty() && !soak;
        let ending = run(story.gated(soak).stopping(stops), Goal::Operate(action));
        if undisturbed {
            assert_within_budget(&ending);
        }
        prop_assert!(matches!(ending.code(), 0 | 1 | 4 | 6 | 130), "{}", ending.code());
        let back = ending.has(|kind| matches!(kind, EventKind::RollbackStarted { .. }));
        prop_assert!(!back, "nothing can be taken back");
        for (target, summary) in &ending.summary.targets {
            let (host, end) = (ending.fleet.host(target), summary.end.as_ref().unwrap());
            let as_before = host.starts == 1 && host.runs() == Some("v1");
            prop_assert!(host.starts <= 2, "{} was started more than once", target);
            prop_assert_eq!(host.serves(), Some("v1"));
            prop_assert_eq!(host.good_versions(), ["v1"]);
            match (end, action) {
                (End::Done, Action::Restart) => prop_assert_eq!(host.starts, 2),
                (End::Done, Action::Stop) => prop_assert_eq!(host.runs(), None),
                (End::NotAttempted, _) => prop_assert!(as_before, "{}", target),
                // What failed is as it was, unless the exit code says that somebody must look.
                _ if end.is_failure() && matches!(ending.code(), 1 | 6) => {
                    prop_assert!(as_before, "{}: {:?}", target, end);
                }
                _ => {}
            }
        }
        if ending.code() == 0 {
            prop_assert!(ending.summary.targets.values().all(|t| t.end.as_ref().unwrap().is_success()));
        }
    }
}
