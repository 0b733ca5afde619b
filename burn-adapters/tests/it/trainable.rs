//! What trains, by name and number.

use burn::tensor::Device;
use burn_adapters::{Group, HeadKind, Method, Pooling, TaskAdapterConfig};
use burn_bert::BertConfig;

use crate::fixtures::{adapted, base, config};
use crate::samples::plans;

/// Two classes on BERT-base, as MRPC; nothing as large as BERT is allocated.
fn bert_base_table(method: Method, pooling: Pooling) -> String {
    let bert = BertConfig::bert_base().init(&Device::flex());
    let config =
        TaskAdapterConfig { head: HeadKind::unnamed(2), pooling, ..config(method.plan(64)) };
    adapted(bert, &config).trainable_table().to_string()
}

#[test]
fn adapters_of_bert_base_number_2_379_264() {
    insta::assert_snapshot!(bert_base_table(Method::Houlsby, Pooling::Pooler));
}

#[test]
fn baselines_of_bert_base_train_parts_of_it() {
    let tables: Vec<_> = [Method::Pfeiffer, Method::LayerNorm, Method::TopLayers(1), Method::Full]
        .into_iter()
        .map(|method| format!("{method}\n{}", bert_base_table(method, Pooling::Pooler)))
        .collect();
    insta::assert_snapshot!(tables.join("\n"));
}

#[test]
fn corrections_scales_and_prefixes_of_bert_base_have_the_papers_numbers() {
    let adapters = |method: Method| {
        let bert = BertConfig::bert_base().init(&Device::flex());
        let plan = method.plan(method.default_size());
        let table = adapted(bert, &config(plan)).trainable_table();
        table.rows.iter().find(|row| row.group == Group::Adapters).unwrap().parameters
    };
    // Hu et al. 2022, table 2: 0.3 million.
    assert_eq!(adapters(Method::Lora), 12 * 2 * 8 * (768 + 768));
    assert_eq!(adapters(Method::Ia3), 12 * (768 + 768 + 3072));
    assert_eq!(adapters(Method::PrefixFlat), 12 * 30 * 2 * 768);
    let network = 30 * 768 + (768 + 1) * 512 + (512 + 1) * 12 * 2 * 768;
    assert_eq!(adapters(Method::Prefix), network);
}

#[test]
fn every_trained_parameter_has_a_readable_path() {
    let methods = [
        Method::Houlsby,
        Method::Pfeiffer,
        Method::ScaledParallel,
        Method::Lora,
        Method::Ia3,
        Method::Prefix,
        Method::PrefixFlat,
        Method::TopLayers(1),
    ];
    let paths = methods.map(|method| {
        let model = adapted(base(&Device::flex()), &config(method.plan(8)));
        let lines = model.trainable_parameters().into_iter().map(|parameter| {
            let decays = if parameter.decays { "decays" } else { "" };
            format!("{} {:?} {} {decays}", parameter.path, parameter.shape, parameter.group.name())
                .trim_end()
                .to_owned()
        });
        format!("{method}\n{}", lines.collect::<Vec<_>>().join("\n"))
    });
    insta::assert_snapshot!(paths.join("\n\n"));
}

#[test]
fn weight_decay_spares_biases_norms_and_scales() {
    for (_, plan) in plans(8) {
        let model = adapted(base(&Device::flex()), &config(plan));
        let (decay, trained) = (model.weight_decay_group(), model.saved_group());
        for parameter in model.trainable_parameters() {
            let is_matrix = parameter.shape.len() == 2;
            assert_eq!(decay.matches(&parameter.id, None), is_matrix, "{}", parameter.path);
            assert!(trained.matches(&parameter.id, None));
        }
    }
}
