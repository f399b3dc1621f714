"""Cases made of what probes measure, for the tests of the rules that judge them."""

from unplateau.diagnosis.case import Case
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.runs.record import Measurement


def measured(values: dict[str, float], groups: dict[str, dict[str, float]] | None = None, **facts) -> Case:
    """A case of measurements: name -> value, and group -> name -> value."""
    rows = [Measurement(name, value) for name, value in values.items()]
    rows += [Measurement(name, value, group=group) for group, named in (groups or {}).items() for name, value in named.items()]
    return Case(None, LogFacts(**facts), tuple(rows))


MOVES = {"tensors_moved": 1.0, "measured_updates": 5.0, "frozen": 0.0, "elements_watched": 1000.0, "unmoved_with_gradient": 0.0}
STUCK = {**MOVES, "tensors_moved": 0.0, "unmoved_with_gradient": 4.0}
CUT = {**MOVES, "tensors_moved": 0.0}
FROZEN = {"frozen": 1.0, "elements_watched": 1000.0}
RANGE = {"probed_rate": 3.5e-4, "rate_of_steepest_descent": 3e-3, "rate_of_lowest_loss": 1e-2, "lr_range_first_loss": 6.7,
         "num_identities": 751.0}  # fmt: skip
FALLEN = {"3e-3": {"lr_range_loss": 4.0}, "1e-7": {"lr_range_loss": 6.7}}
FEATURES = {"feature_std": 0.5, "feature_length": 20.0, "feature_dim": 256.0, "effective_rank_centred": 80.0, "d_prime": 1.5}
UNBALANCED = {"cross_entropy | triplet": {"gradient_ratio": 300.0}}
OVERFIT = {"overfit_first_loss": 6.7, "overfit_last_loss": 0.3, "overfit_floor": 0.0}

DELIVERED = {"gradient_delivered": 1.0, "gradient_delivered_cosine": 1.0, "gradient_rms": 1e-3, "step_over_rate": 0.2,
             "highest_epsilon": 1e-8, "highest_decay": 5e-4, "highest_rate": 3.5e-4, "decay_is_decoupled": 0.0}  # fmt: skip
DRAWN = {"images_in_batch": 64.0, "identities_in_batch_mean": 16.0, "batch_with_positive": 1.0, "identities_seen": 0.6,
         "identities_expected": 0.5, "same_order_next_epoch": 0.01}  # fmt: skip
PREPARED = {"preparation_mean_difference": 0.1, "preparation_std_ratio": 0.9, "colour_distance": 0.3,
            "colour_distance_swapped": 0.4}  # fmt: skip
LOOKS = {"": {"label_agreement_chance": 0.01, "label_images": 500.0}, "colours": {"label_agreement": 0.3}, "plain view, colours":
         {"label_agreement": 0.4, "label_agreement_chance": 0.01}, "1": {"label_agreement_shifted": 0.15}}  # fmt: skip
AS_CONFIGURED = {"loss_trained": 2.0, "loss_configured": 2.0, "loss_weight_trained": 1.0, "loss_weight_configured": 1.0}
SCORED = {"embedding_difference": 0.0, "batch_difference": 1e-6, "map_of_gallery_in_itself": 0.5, "map_of_queries": 0.5,
          "map_by_chance": 0.01}  # fmt: skip


def looks(**changes: dict[str, float]) -> dict[str, dict[str, float]]:
    return {group: {**named, **changes.get(group.replace(" ", "_").replace(",", ""), {})} for group, named in LOOKS.items()}


STABLE = {"own batch": {"same_label": 0.66, "same_label_chance": 0.1}, "other batches": {"same_label": 0.44, "same_label_chance":
          0.009}, "other epoch": {"same_label": 0.78, "same_label_chance": 0.017}}  # fmt: skip


PROBED_FIRING: dict[str, Case] = {
    "weights-not-updated   ": measured({**STUCK, "parameters_held": 0.0, "foreign_tensors": 2.0, "optimizer_steps": 5.0}),
    "weights-not-updated    ": measured({"watched_steps": 150.0, "optimizer_steps": 0.0}),
    "weights-not-updated     ": measured(FROZEN),
    "weights-not-updated      ": measured(CUT),
    "learning-rate-zero": measured({"highest_rate": 0.0, "optimizer_steps": 6.0}),
    "only-head-trained  ": measured({**MOVES, "tensors_moved": 0.3}, {"backbone.a": STUCK, "head": MOVES}),
    "only-head-trained   ": measured({**MOVES, "tensors_moved": 0.3}, {"backbone.a": FROZEN, "head": MOVES}),
    "only-head-trained    ": measured({**MOVES, "tensors_moved": 0.3}, {"backbone.a": CUT, "head": MOVES}),
    "layers-not-trained ": measured(MOVES, {"backbone.a": STUCK, "backbone.b": MOVES, "head": MOVES}),
    "labels-out-of-range ": measured({"label_lowest": 0.0, "label_highest": 751.0, "num_identities": 751.0}),
    "blank-inputs": measured({"input_mean": 0.0, "input_std": 0.0}),
    "inputs-not-normalised": measured({"input_mean": 114.0, "input_std": 58.0}),
    "no-positives ": measured({"anchors_with_positive": 0.0, "identities_in_batch": 16.0}, triplet_weight=1.0),
    "softmax-before-ce ": measured({"logits_lowest": 1e-4, "logits_row_sum_from_1": 1e-6}),
    "initial-loss-off": measured(
        {"initial_cross_entropy": 9.0, "initial_cross_entropy_expected": 6.72, "initial_cross_entropy_spread": 0.05}
    ),
    "evaluation-broken   ": measured({"batch_difference": 0.6}),
    "evaluation-broken    ": measured({"map_of_shuffled_features": 0.4, "map_by_chance": 0.01}),
    "evaluation-broken     ": measured({"evaluator_bias": 0.2}),
    "images-ignored": measured({"loss_on_images": 6.62, "loss_on_blanks": 6.62, "loss_on_images_noise": 0.01}),
    "batch-not-learnable": measured({**OVERFIT, "overfit_last_loss": 6.6}),
    "labels-not-of-images": measured(
        {"label_agreement_chance": 0.01, "label_images": 500.0}, {"initial weights": {"label_agreement": 0.011}}
    ),
    "labels-not-of-images ": measured(
        {"label_agreement_chance": 0.01, "label_images": 500.0},
        {
            "initial weights": {"label_agreement": 0.03},
            "colours": {"label_agreement": 0.04},
            "plain view, initial weights": {"label_agreement": 0.019, "label_agreement_chance": 0.02},
            "plain view, colours": {"label_agreement": 0.021},
        },
    ),
    "collapsed-embeddings  ": measured({**FEATURES, "feature_std": 1e-4, "effective_rank_centred": 1.2, "d_prime": 0.01}),
    "learning-rate-too-low ": measured({**RANGE, "probed_rate": 3.5e-7}, FALLEN),
    "learning-rate-too-low  ": measured(
        {**OVERFIT, "overfit_last_loss": 6.6, "probed_rate": 1e-5, "rate_of_steepest_descent": 3e-3},
        {"best rate": {"overfit_first_loss": 6.7, "overfit_last_loss": 0.2}},
    ),
    "learning-rate-too-high ": measured({**RANGE, "probed_rate": 0.3}, FALLEN),
    "gradient-clipped-away": measured({**DELIVERED, "gradient_delivered": 1e-6, "step_over_rate": 1e-4}),
    "gradient-clipped-away ": measured({"gradient_delivered": 1e-6, "gradient_delivered_cosine": 1.0}),
    "gradient-clipped-away  ": measured({**DELIVERED, "gradient_delivered": 1e-7, "gradient_rms": 1e-9}),
    "gradients-accumulate": measured({**DELIVERED, "gradient_delivered": 9.0, "gradient_delivered_cosine": 0.2}),
    "steps-too-small": measured({**DELIVERED, "highest_epsilon": 0.1, "step_over_rate": 0.01}),
    "weight-decay-too-strong": measured({**DELIVERED, "highest_decay": 0.05}),
    "weight-decay-too-strong ": measured({**DELIVERED, "highest_decay": 50.0, "decay_is_decoupled": 1.0}),
    "losses-not-as-configured": measured({}, {"triplet": {**AS_CONFIGURED, "loss_weight_trained": 100.0}}),
    "losses-not-as-configured ": measured({}, {"triplet": {**AS_CONFIGURED, "loss_trained": 300.0}}),
    "label-smoothing-too-strong": measured({"effective_smoothing": 0.6}),
    "loss-cut-off": measured(
        {}, {"cross_entropy": {"loss_gradient_norm": 0.0, "term_above_floor": 0.8}, "triplet": {"loss_gradient_norm": 2.0}}
    ),
    "missing-cosine-scale": measured({"logit_largest": 0.98, "classifier_scale": 1.0}),
    "embedding-too-small": measured({"embedding_dim": 2.0}),
    "dropout-too-strong": measured({"dropped_share": 0.9, "forward_noise": 1.8}),
    "dead-units": measured({}, {"layer1.0.relu": {"dead_units": 0.95}, "layer2.0.relu": {"dead_units": 0.0}}),
    "not-shuffled": measured({**DRAWN, "same_order_next_epoch": 1.0}),
    "too-few-identities": measured({**DRAWN, "identities_seen": 0.02}),
    "batch-too-small": measured({**DRAWN, "images_in_batch": 4.0, "identities_in_batch_mean": 2.0}),
    "batch-too-small ": measured({**DRAWN, "images_in_batch": 16.0}, batch_size=64),
    "no-positives  ": measured({**DRAWN, "batch_with_positive": 0.1}, triplet_weight=1.0),
    "no-positives   ": measured({**DRAWN, "identities_in_batch_mean": 1.0}, triplet_weight=1.0),
    "blank-images": measured({"blank_images": 0.4}),
    "inputs-not-normalised ": measured({"input_mean": 3.0, "input_std": 0.004, "blank_images": 0.0}),
    "copied-images": measured({"copied_images": 0.8}),
    "copied-images ": measured({"duplicate_images": 1.0}),
    "copied-images  ": measured({"look_alikes_in_batch": 0.97, "look_alikes_by_chance": 0.06}, LOOKS),
    "augmentation-too-strong ": measured(
        {**PREPARED, "preparation_std_ratio": 0.4, "blank_images": 0.15},
        looks(colours={"label_agreement": 0.02}, **{"1": {"label_agreement_shifted": 0.015}}),
    ),
    "augmentation-too-strong": measured(
        {}, looks(colours={"label_agreement": 0.02}, **{"1": {"label_agreement_shifted": 0.015}})
    ),
    "preparation-differs": measured({**PREPARED, "preparation_std_ratio": 0.01}),
    "preparation-differs ": measured({**PREPARED, "colour_distance_swapped": 0.05}),
    "evaluation-broken      ": measured({**SCORED, "embedding_difference": 1.2}),
    "evaluation-broken       ": measured({**SCORED, "map_of_queries": 0.03}),
    "labels-shifted": measured({"label_images": 500.0}, looks(**{"1": {"label_agreement_shifted": 0.42}})),
    "labels-mixed": measured({"label_images": 500.0, "pair_confusion": 0.4}, LOOKS),
    "labels-mixed ": measured({**DRAWN, "identities_seen": 0.1, "label_images": 500.0, "pair_confusion": 0.4}, LOOKS),
    "dropout-too-strong ": measured(
        {**OVERFIT, "overfit_last_loss": 6.6, "dropped_share": 0.98, "loss_on_images": 6.62, "loss_on_blanks": 6.62}
    ),
    "labels-have-twins": measured({"twin_labels": 0.8}),
    "labels-change": measured(
        {"label_images": 500.0}, STABLE | {"other epoch": {"same_label": 0.02, "same_label_chance": 0.017}}
    ),
    "labels-change ": measured(
        {"label_images": 500.0},
        {"own batch": STABLE["own batch"], "other batches": {"same_label": 0.01, "same_label_chance": 0.009}},
    ),
    "labels-of-cameras": measured({"label_images": 500.0, "same_camera_of_label": 1.0, "same_camera_chance": 0.17}),
    "labels-split-in-batch": measured(
        {**DRAWN, "batch_with_positive": 0.1, "look_alikes_in_batch": 0.8, "look_alikes_by_chance": 0.06},
        triplet_weight=1.0
    ),
    "labels-not-of-images  ": measured(
        {"looks_found_again": 0.6}, looks(colours={"label_agreement": 0.02}, **{"1": {"label_agreement_shifted": 0.015}})
    ),
    "step-not-as-meant": measured({}, {"triplet": {"stated_over_expected": 1.6}, "cross_entropy": {"stated_over_expected": 1.0}}),
    "gradient-not-of-losses": measured({**DELIVERED, "gradient_withheld": 0.4}),
    "gradient-not-of-losses ": measured({**DELIVERED, "gradient_delivered_cosine": -1.0}),
    "optimizer-not-as-configured": measured(
        {}, {"rate": {"setting_trained": 0.0, "setting_configured": 1.0, "setting_differs": 0.01}}
    ),
    "optimizer-not-as-configured ": measured(
        {}, {"momentum": {"setting_trained": 0.999, "setting_configured": 0.9, "setting_differs": 1.0}}
    ),
    "weights-are-zero": measured({"zero_weights": 0.9}),
    "embedding-too-small ": measured({"embedding_dim": 192.0, "feature_dim": 192.0, "feature_rank": 8.0, "d_prime": 3.0}),
    "copied-images   ": measured({"partner_likeness": 0.2}),
    "preparation-differs    ": measured(
        {"looks_found_again": 0.71}, {"the middle, 0.7": {"looks_found_again": 0.6}, "upside down": {"looks_found_again": 0.9}}
    ),
    "step-not-as-meant ": measured(
        {}, {"triplet": {"stated_over_expected": 1.0005}, "images in 4 pieces": {"stated_unexplained": 1e-7}}
    ),
    "gradient-clipped-away   ": measured(
        {**DELIVERED, "gradient_delivered": 2.0**-16, "gradient_arrived_spread": 0.5, "gradient_rms": 4e-7, "weight_rms": 0.05}
    ),
    "steps-undone": measured({**DELIVERED, "step_kept": 0.01}),
    "steps-too-small ": measured({**DELIVERED, "step_over_rate": 1e-3}),
    "steps-too-large": measured({**DELIVERED, "step_over_rate": 40.0}),
    "margin-wrong": measured({"d_negative": 0.01, "d_prime": 3.0}, margin=0.3, triplet_weight=1.0),
    "preparation-differs   ": measured({"looks_found_again": 0.78}, {"channels reversed": {"looks_found_again": 0.59}}),
    "batch-norm-not-updated ": measured({"batch_norm_in_evaluation": 1.0, "running_mean_apart": 0.1, "running_std_ratio": 1.0}),
    "batch-norm-not-updated  ": measured(
        {"batch_norm_in_evaluation": 0.0, "running_mean_apart": 8.0, "running_std_ratio": 19.0, "steps_trained": 500.0}
    ),
    "preparation-differs  ": measured({"preparation_layout": -0.9, "preparation_layout_upside_down": 0.9}),
    "losses-in-conflict": measured({}, {"cross_entropy | triplet": {"gradient_cosine": -0.6}}),
    "losses-unbalanced": measured({"active_triplets": 0.9, "steps_trained": 2000.0}, UNBALANCED),
    "overfitting ": measured(
        {"map_of_trained_identities": 0.98, "map_of_unseen_identities": 0.3, "train_identity_gap": 0.68}
    ),
}  # fmt: skip

PROBED_HEALTHY: dict[str, Case] = {
    "erasing as recipes use it": measured({}, looks(colours={"label_agreement": 0.16})),
    "batches of far more people than the plain view": measured({}, {
        **LOOKS, "": {"label_agreement_chance": 0.001, "label_images": 500.0}, "colours": {"label_agreement": 0.03},
        "1": {"label_agreement_shifted": 0.01},
    }),
    "everything moves": measured(MOVES, {"backbone.a": MOVES, "head": MOVES}),
    "a wanted freeze": measured(MOVES, {"backbone.a": FROZEN, "head": MOVES}, frozen_layers=("backbone",)),
    "a frozen stem": measured(MOVES, {"backbone.stem": FROZEN, "backbone.a": MOVES, "head": MOVES}),
    "an unused classifier of the pretrained network": measured(MOVES, {"backbone.a": MOVES, "backbone.fc": CUT, "head": MOVES}),
    "two updates only": measured({**STUCK, "measured_updates": 2.0}),
    "the optimiser has not stepped yet": measured({"watched_steps": 20.0, "optimizer_steps": 0.0}),
    "a fair rate": measured(RANGE, FALLEN),
    "a sweep that never fell": measured({**RANGE, "probed_rate": 1e-9}, {"1e-7": {"lr_range_loss": 6.7}}),
    "features of a trained network": measured(FEATURES),
    "one batch learned": measured(OVERFIT),
    "one batch known before": measured({**OVERFIT, "overfit_first_loss": 0.31}),
    "images are used": measured({"loss_on_images": 3.0, "loss_on_blanks": 6.62, "loss_on_images_noise": 0.2}),
    "labels belong": measured(
        {"label_agreement_chance": 0.01, "label_images": 500.0}, {"initial weights": {"label_agreement": 0.3}}
    ),
    "few images": measured(
        {"label_agreement_chance": 0.1, "label_images": 40.0}, {"initial weights": {"label_agreement": 0.1}}
    ),
    "a nearly solved triplet loss": measured({"active_triplets": 0.05, "steps_trained": 2000.0}, UNBALANCED),
    "a fresh classifier": measured({"active_triplets": 1.0, "steps_trained": 0.0}, {"a | b": {"gradient_ratio": 300.0}}),
    "losses that agree": measured({}, {"cross_entropy | triplet": {"gradient_cosine": 0.2, "gradient_ratio": 3.0}}),
    "an evaluation that agrees": measured(
        {"batch_difference": 1e-6, "evaluator_bias": 1e-3, "map_of_shuffled_features": 0.012, "map_by_chance": 0.01}
    ),
    "collapsed features, whose ties two evaluators break differently": measured(
        {"evaluator_bias": 0.1, "map_of_queries": 0.012, "map_by_chance": 0.01}
    ),
    "some gap": measured({"map_of_trained_identities": 0.9, "map_of_unseen_identities": 0.6, "train_identity_gap": 0.3}),
    "what the losses say arrives": measured(DELIVERED),
    "clipping that Adam does not feel": measured({**DELIVERED, "gradient_delivered": 1e-3}),
    "clipping at the usual norm": measured({"gradient_delivered": 0.1, "gradient_delivered_cosine": 1.0}),
    "an optimiser at convergence": measured({**DELIVERED, "gradient_rms": 1e-9, "step_over_rate": 0.01}),
    "decoupled decay of the usual size": measured({**DELIVERED, "highest_decay": 0.05, "decay_is_decoupled": 1.0}),
    "losses as configured": measured({"effective_smoothing": 0.1}, {"cross_entropy": AS_CONFIGURED, "triplet": AS_CONFIGURED}),
    "a triplet loss without a gradient because it is solved": measured(
        {}, {"triplet": {"loss_gradient_norm": 0.0, "loss_trained": 0.01}, "cross_entropy": {"loss_gradient_norm": 1.0}}
    ),
    "small logits of a linear classifier": measured({"logit_largest": 0.6}),
    "a cosine classifier with its scale": measured({"logit_largest": 29.0, "classifier_scale": 30.0}),
    "dropout of a half": measured({"dropped_share": 0.5, "forward_noise": 1.15}),
    "a few dead units": measured({}, {"layer1.0.relu": {"dead_units": 0.2}}),
    "batches drawn P x K": measured(DRAWN, batch_size=64, triplet_weight=1.0),
    "plain shuffling without a metric loss": measured({**DRAWN, "batch_with_positive": 0.05}, triplet_weight=0.0),
    "images prepared alike": measured(PREPARED),
    "grey clothes, whose channels say nothing": measured({**PREPARED, "colour_distance": 0.05, "colour_distance_swapped": 0.01}),
    "labels that agree with looks": measured({"label_images": 500.0, "pair_confusion": 0.1, "twin_labels": 0.05}, LOOKS),
    "looks that say nothing of people": measured(
        {"label_images": 500.0, "pair_confusion": 0.45},
        {"": {"label_agreement_chance": 0.01}, "colours": {"label_agreement": 0.012}, "1": {"label_agreement_shifted": 0.016}},
    ),
    "look-alikes anywhere": measured({"look_alikes_in_batch": 0.1, "look_alikes_by_chance": 0.06}),
    "one batch only": measured({"look_alikes_in_batch": 1.0, "look_alikes_by_chance": 1.0}),
    "a moving average that is scored": measured({**SCORED, "embedding_difference": 0.05}),
    "queries harder than the gallery": measured({**SCORED, "map_of_queries": 0.3}),
    "labels that stay with their people": measured(
        {"label_images": 500.0, "same_camera_of_label": 0.2, "same_camera_chance": 0.17}, STABLE
    ),
    "one camera": measured({"label_images": 500.0, "same_camera_of_label": 1.0, "same_camera_chance": 1.0}),
    "augmentation that differs from batch to batch": measured(
        {"label_images": 500.0, "looks_found_again": 1.8},
        STABLE | {"other batches": {"same_label": 0.01, "same_label_chance": 0.009}},
    ),
    "a step that says what its losses are": measured({}, {"triplet": {"stated_over_expected": 1.0}}),
    "a step that stays": measured({**DELIVERED, "step_kept": 1.0}),
    "a margin beyond collapsed features": measured({"d_negative": 1e-6, "d_prime": 0.1}, margin=0.3, triplet_weight=1.0),
    "images that are padded and cropped": measured(
        {"looks_found_again": 0.68},
        {"the middle, 0.85": {"looks_found_again": 0.59}, "the middle, 0.7": {"looks_found_again": 0.7}},
    ),
    "images found worse in reversed channels": measured(
        {"looks_found_again": 0.59}, {"channels reversed": {"looks_found_again": 0.78}}
    ),
    "a few weights that are 0": measured({"zero_weights": 0.001}),
    "features of many dimensions": measured(
        {"embedding_dim": 192.0, "feature_dim": 192.0, "feature_rank": 150.0, "d_prime": 3.0}
    ),
    "people in several pictures": measured({"partner_likeness": 1.0}),
    "an optimiser as configured": measured({"setting_differs": 0.0}),
    "a rate of biases that is doubled": measured(
        {}, {"rate": {"setting_trained": 1.0, "setting_configured": 0.5, "setting_differs": 0.01}}
    ),
    "running statistics that follow": measured(
        {"batch_norm_in_evaluation": 0.0, "running_mean_apart": 0.1, "running_std_ratio": 1.05}
    ),
    "running statistics of a training that has just begun": measured(
        {"batch_norm_in_evaluation": 0.0, "running_mean_apart": 8.0, "running_std_ratio": 19.0, "steps_trained": 3.0}
    ),
    "batch normalisation frozen on purpose": measured(
        {"batch_norm_in_evaluation": 1.0, "running_mean_apart": 0.1, "running_std_ratio": 1.0}, frozen_layers=("backbone",)
    ),
    "people seen from the same side": measured({"preparation_layout": 0.9, "preparation_layout_upside_down": 0.4}),
    "no pairs needed": measured({"anchors_with_positive": 0.0, "identities_in_batch": 16.0}),
}  # fmt: skip
