//! The text tower: encodes a phrase to an embedding that is similar to those of patches of the named object.

use crate::nn::{Dim, Graph};

use super::{
    TEXT,
    config::Config,
    transformer::{LAYER_NORM_EPSILON, transformer},
};

/// Names of the graph's inputs and its output.
pub(super) mod names {
    /// Token ids, `[n_tokens]`.
    pub(crate) const TOKENS: &str = "tokens";
    /// Position of the end token, `[1]`.
    pub(crate) const END: &str = "end";
    /// `[1, text width]`, normalized to length 1.
    pub(crate) const EMBEDDING: &str = "embedding";
}

/// Builds the graph. Mirrors `Owlv2Model.get_text_features`. Attention is causal, so tokens after the end have no
/// effect.
pub(super) fn text_tower(config: &Config) -> Graph {
    let (n, width) = (config.n_tokens, config.text.width);
    let mut graph = Graph::new("owlv2_text");
    let tokens = graph.input(names::TOKENS, &[Dim::Fixed(n)]);
    let end = graph.input(names::END, &[Dim::Fixed(1)]);
    let words = graph.weight(&format!("{TEXT}.embeddings.token_embedding.weight"), &[config.n_words, width]);
    let tokens = graph.to_integer(&tokens);
    let x = graph.gather_rows(&words, &tokens);
    let places = graph.weight(&format!("{TEXT}.embeddings.position_embedding.weight"), &[n, width]);
    let x = graph.add(&x, &places);
    let x = transformer(&mut graph, &config.text, &x, TEXT, true);
    let end = graph.to_integer(&end);
    let x = graph.gather_rows(&x, &end);
    let x = graph.layer_norm(&x, &format!("{TEXT}.final_layer_norm"), LAYER_NORM_EPSILON);
    let projection = graph.weight("owlv2.text_projection.weight", &[width, width]);
    let nothing = graph.constant("no_bias", &[width], &vec![0.0; width]);
    let x = graph.gemm(&x, &projection, &nothing);
    let x = graph.unit_rows(&x, 0.0);
    graph.output(names::EMBEDDING, &x);
    graph
}
