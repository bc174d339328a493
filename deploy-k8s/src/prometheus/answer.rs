//! What Prometheus answers to an instant query.

use std::{collections::BTreeMap, fmt};

use deploy_core::backend::Verdict;
use serde::Deserialize;

use super::Threshold;

/// How many of the series that break a threshold are shown.
const SHOWN: usize = 10;

/// An answer of `/api/v1/query`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    data: Option<Data>,
    pub error_type: Option<String>,
    pub error: Option<String>,
    /// What the result lacks.
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Scalar(Sample),
    Vector(Vec<Series>),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

/// A moment, and the value then, as text.
#[derive(Debug, Deserialize)]
struct Sample(#[expect(dead_code, reason = "it is now")] f64, String);

#[derive(Debug, Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
}

/// One value, and the labels of its series, as PromQL writes them.
#[derive(Debug, PartialEq)]
struct Reading {
    labels: String,
    value: f64,
}

impl Answer {
    /// Whether all that was found keeps to `threshold`.
    ///
    /// # Errors
    /// When it is not of values that can be compared.
    pub(super) fn verdict(&self, threshold: &Threshold, query: &str) -> Result<Verdict, String> {
        let mut readings = self.readings()?;
        if readings.is_empty() {
            return Ok(Verdict::NotYet { seen: "no data yet".to_owned() });
        }
        readings.sort_by(|a, b| {
            let [a, b] = [a, b].map(|reading| threshold.badness(reading.value));
            b.total_cmp(&a)
        });
        let broken: Vec<&Reading> =
            readings.iter().filter(|reading| !threshold.holds(reading.value)).collect();
        if let Some(worst) = broken.first() {
            let shown = broken.iter().take(SHOWN).map(ToString::to_string);
            let mut lines: Vec<String> = std::iter::once(query.to_owned()).chain(shown).collect();
            if broken.len() > SHOWN {
                lines.push(format!("and {} more", broken.len() - SHOWN));
            }
            let reason = format!("{worst}, which is not {threshold}");
            return Ok(Verdict::Unhealthy { reason, evidence: Some(lines.join("\n")) });
        }
        Ok(match self.warnings.first() {
            Some(warning) => Verdict::HealthyBut { note: format!("Prometheus warns: {warning}") },
            None => Verdict::Healthy,
        })
    }

    fn readings(&self) -> Result<Vec<Reading>, String> {
        let of = |labels: String, sample: &Sample| match sample.1.parse() {
            Ok(value) => Ok(Reading { labels, value }),
            Err(_) => Err(format!("its answer has {:?} in place of a number", sample.1)),
        };
        match &self.data {
            None => Err("its answer has no data".to_owned()),
            Some(Data::Scalar(sample)) => Ok(vec![of(String::new(), sample)?]),
            Some(Data::Vector(all)) => {
                let reading = |series: &Series| match &series.value {
                    Some(sample) => of(labels(&series.metric), sample),
                    None => Err(format!(
                        "{} is a histogram, and no number: use histogram_quantile or such",
                        labels(&series.metric)
                    )),
                };
                all.iter().map(reading).collect()
            }
            Some(Data::Matrix(_)) => {
                Err("the query gives values over a time: use rate, max_over_time or such"
                    .to_owned())
            }
            Some(Data::String(_)) => Err("the query gives text".to_owned()),
        }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.value {
            value if value.is_infinite() && value > 0.0 => "+Inf".to_owned(),
            value if value.is_infinite() => "-Inf".to_owned(),
            value => value.to_string(),
        };
        match self.labels.as_str() {
            "" => write!(f, "it is {value}"),
            labels => write!(f, "{labels} is {value}"),
        }
    }
}

/// As PromQL writes a series: `up{instance="a", job="b"}`.
fn labels(metric: &BTreeMap<String, String>) -> String {
    const NAME: &str = "__name__";
    let name = metric.get(NAME).map_or("", String::as_str);
    let labels = metric.iter().filter(|(key, _)| *key != NAME);
    let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value:?}")).collect();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(data: Value, threshold: &str) -> Result<Verdict, String> {
        let answer = json!({ "status": "success", "data": data });
        let answer: Answer = serde_json::from_value(answer).unwrap();
        answer.verdict(&threshold.parse().unwrap(), "q")
    }

    fn vector(values: &[(&str, &str)]) -> Value {
        let series = |(pod, value): &(&str, &str)| json!({ "metric": { "__name__": "rate", "pod": pod }, "value": [1.5, value] });
        let result: Vec<Value> = values.iter().map(series).collect();
        json!({ "resultType": "vector", "result": result })
    }

    #[test]
    fn every_series_must_hold_and_the_worst_is_named() {
        let all = vector(&[("a", "0.01"), ("b", "0.3"), ("c", "0.2")]);
        assert_eq!(verdict(all.clone(), "< 0.5"), Ok(Verdict::Healthy));
        let Ok(Verdict::Unhealthy { reason, evidence }) = verdict(all, "< 0.05") else { panic!() };
        assert_eq!(reason, "rate{pod=\"b\"} is 0.3, which is not < 0.05");
        let shown = "q\nrate{pod=\"b\"} is 0.3\nrate{pod=\"c\"} is 0.2";
        assert_eq!(evidence.as_deref(), Some(shown));
        let Ok(Verdict::Unhealthy { reason, .. }) =
            verdict(vector(&[("a", "+Inf"), ("b", "NaN"), ("c", "0")]), "<= 1")
        else {
            panic!()
        };
        assert!(reason.contains("Inf") || reason.contains("NaN"), "{reason}");
        let many: Vec<(&str, &str)> = (0..30).map(|_| ("x", "1")).collect();
        let Ok(Verdict::Unhealthy { evidence, .. }) = verdict(vector(&many), "== 0") else {
            panic!()
        };
        assert!(evidence.unwrap().ends_with("and 20 more"));
    }

    #[test]
    fn scalars_count_nothing_is_not_yet_and_nan_is_no_number() {
        let scalar = |value: &str| json!({ "resultType": "scalar", "result": [1.5, value] });
        assert_eq!(verdict(scalar("0"), "== 0"), Ok(Verdict::Healthy));
        for threshold in ["< 1", ">= 0", "!= 7"] {
            let told = verdict(scalar("NaN"), threshold);
            let Ok(Verdict::Unhealthy { reason, .. }) = told else { panic!("{told:?}") };
            assert_eq!(reason, format!("it is NaN, which is not {threshold}"));
        }
        let told = verdict(vector(&[]), "== 0");
        assert_eq!(told, Ok(Verdict::NotYet { seen: "no data yet".to_owned() }));
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        for (data, why) in [
            (json!({ "resultType": "matrix", "result": [] }), "over a time"),
            (json!({ "resultType": "string", "result": [1.5, "x"] }), "text"),
            (json!({ "resultType": "scalar", "result": [1.5, "x"] }), "in place of a number"),
            (
                json!({ "resultType": "vector", "result": [
                    { "metric": { "__name__": "h" }, "histogram": [1.5, {}] },
                ]}),
                "h is a histogram",
            ),
            (Value::Null, "no data"),
        ] {
            let told = verdict(data, "== 0").unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }

    #[test]
    fn a_partial_answer_is_told_as_such() {
        let answer = json!({
            "status": "success", "data": vector(&[("a", "0")]), "warnings": ["a store is down"],
        });
        let answer: Answer = serde_json::from_value(answer).unwrap();
        let told = answer.verdict(&"== 0".parse().unwrap(), "q").unwrap();
        let note = "Prometheus warns: a store is down".to_owned();
        assert_eq!(told, Verdict::HealthyBut { note });
    }
}
