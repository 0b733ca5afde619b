//! The rows of distances, compared with transformers'.

use burn_fused::DistanceBuckets;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    buckets: i64,
    max_distance: usize,
    length: usize,
    first_query: Vec<usize>,
    last_query: Vec<usize>,
}

#[test]
fn rows_of_distances_are_those_of_transformers() {
    let goldens: Vec<Golden> =
        serde_json::from_str(include_str!("fixtures/distance_buckets.json")).expect("JSON");
    for golden in goldens {
        let max_distance = golden.max_distance;
        let buckets = match usize::try_from(golden.buckets) {
            Ok(span) => DistanceBuckets::Logarithmic { span, max_distance },
            Err(_) => DistanceBuckets::Each { span: max_distance },
        };
        let rows =
            |query| (0..golden.length).map(|key| buckets.row(query, key)).collect::<Vec<_>>();
        assert_eq!(rows(0), golden.first_query, "{buckets:?}");
        assert_eq!(rows(golden.length - 1), golden.last_query, "{buckets:?}");
    }
}
