"""Cases of probes that do a part of the training again: files, model, updates, evaluation. The others: `made_probes`."""

from unplateau.diagnosis.case import Case

from .made_probes import DELIVERED, DRAWN, PREPARED, SCORED, measured

PICTURES = {"pixels_of_file": 1.0, "images_found": 1.0, "file_correlation": 1.0, "labels_of_file": 1.0, "files_in_batch": 0.9}
UPDATED = {"updates_in_steps": 1.0, "updates_kept": 1.0, "written_elsewhere": 1e-7, "written_along_weights": 0.0}
CHANGED = {**PICTURES, "pixels_of_file": 0.05, "images_found": 0.0, "file_correlation": 0.8}
AGAIN = {"evaluation_images_differ": 0.0, "evaluation_rows_differ": 0.0, "evaluation_people_differ": 0.0,
         "evaluation_cameras_differ": 0.0}  # fmt: skip


def again(**changes: float) -> Case:
    return measured(SCORED, {"query": AGAIN, "gallery": {**AGAIN, **changes}})


def output(where: str, zeros: float = 0.0, random: float = 0.0, rank: float = 1.0) -> Case:
    return measured({}, {where: {"output_differs": 0.8, "output_zeros": zeros, "output_random": random, "output_rank": rank}})


SILENT = {"slope_without_gradient": 1.3}


def sloped(**ratios: float) -> Case:
    """By layer group: what is measured along the gradient, over what it promises."""
    return measured({"slope_apart": 1.2}, {group: {"slope_along_gradient": ratio} for group, ratio in ratios.items()})


MEANT = {"as configured": {"identities_seen": 0.95, "identities_in_batch_mean": 16.0, "images_in_batch": 64.0}}
PEOPLE = {"identities_seen": 0.95, "labels_listed": 1.0}
PLANNED = {"base_learning_rate": 1e-3, "iterations_per_epoch": 100, "milestones": (40.0,), "warm_up_epochs": 10.0}
WATCHED = {"watched_steps": 6000.0, "rate_highest": 1e-3, "rate_mean": 7e-4}
BACK = {"loss_gradient_cosine": 1.0, "loss_gradient_ratio": 1.0}
OTHER_LOSS = {"loss_trained": 0.02, "loss_configured": 3.9}


TWIN_FIRING: dict[str, Case] = {
    "images-not-of-files": measured(CHANGED),
    "images-not-of-files ": measured(CHANGED, {"channels in the order 102": {"pixels_of_file": 1.0}}),
    "images-not-of-files  ": measured(CHANGED, {"query": {**AGAIN, "evaluation_images_differ": 1.0}}),
    "labels-not-of-files": measured({**PICTURES, "labels_of_file": 0.5}),
    "evaluation-not-repeated": again(evaluation_images_differ=1.0),
    "evaluation-not-repeated ": again(evaluation_rows_differ=1.0),
    "evaluation-not-repeated  ": again(evaluation_cameras_differ=0.6),
    "pictures-of-two-kinds": measured({}, {"queries | gallery": {"sets_told_apart": 0.99}}),
    "optimizer-not-as-configured      ": measured({"update_cosine": 0.999, "update_ratio": 3.2}),
    "optimizer-not-as-configured       ": measured({"update_cosine": 0.0}),
    "batch-norm-not-updated     ": measured({"steps_in_evaluation_mode": 0.66}),
    "augmentation-not-done": measured({"images_unchanged": 1.0}, {"as configured": {"images_unchanged": 0.01}}),
    "files-of-two-kinds": measured({}, {"channels reversed": {"pairs_fit_changed": 0.05}}),
    "files-of-two-kinds ": measured(
        {}, {"negative": {"pairs_fit_changed": 0.3}, "channels reversed": {"pairs_fit_changed": 0.01}}
    ),
    "model-not-as-configured": measured(
        {}, {"head.classifier: CosineClassifier instead of LinearClassifier": {"modules_differ": 1.0}}
    ),
    "model-not-as-configured ": output("training: backbone.layers.0.1 (BatchNorm2d)"),
    "model-not-as-configured  ": output("training: backbone.layers.0.1 (BatchNorm2d)", zeros=0.3, random=0.5),
    "model-not-as-configured    ": output("evaluation: head.neck (BatchNorm1d)", rank=0.1),
    "gradient-not-of-losses  ": measured({}, {"triplet": {"loss_gradient_ratio": 0.0}}),
    "gradient-not-of-losses    ": measured(
        {}, {"cross_entropy": {**BACK, "loss_targets_kept": 0.0, "loss_gradient_cosine": -1.0}}
    ),
    "model-not-as-configured       ": output("training: head.classifier (LinearClassifier)", zeros=0.5, random=0.7),
    "gradient-not-of-losses   ": measured({}, {"triplet": {**BACK, "loss_gradient_cosine": -1.0}}),
    "rate-not-as-configured": measured({**WATCHED, "rate_highest": 0.1}, **PLANNED),
    "rate-not-as-configured    ": measured({**WATCHED, "rate_at_zero": 0.8, "rate_mean": 1e-4}, **PLANNED),
    "rate-not-as-configured     ": measured({**WATCHED, "rate_valleys": 7.0}, **PLANNED, schedule="MultiStepLR"),
    "rate-not-as-configured ": measured({**WATCHED, "rate_mean": 5e-5}, **PLANNED),
    "blank-images ": measured({"noise_images": 0.8, "blank_images": 0.0}),
    "augmentation-too-strong  ": measured({"noise_images": 0.8}, {"files": {"noise_images": 0.0}}),
    "images-not-of-files   ": measured({**PICTURES, "images_found": 0.8}),
    "images-not-of-files    ": measured({**PICTURES, "images_found": 0.6}, {"colours gone": {"images_found": 0.4}}),
    "too-few-identities ": measured({**DRAWN, "identities_seen": 0.6}, MEANT),
    "too-few-identities    ": measured({"labels_listed": 0.87}),
    "optimizer-not-as-configured  ": measured(
        {"rates_far": 0.6, "rate_furthest": 0.004},
        {"rate": {"setting_trained": 0.5, "setting_configured": 1.0, "setting_differs": 0.9}},
    ),
    "labels-mixed  ": measured({"largest_label": 12.0}, {"largest label": {"pair_confusion": 0.45}}),
    "evaluation-not-repeated   ": measured({}, {"gallery": {"blank_images": 0.6}}),
    "evaluation-not-repeated    ": measured({"pair_confusion": 0.1}, {"evaluation": {"pair_confusion": 0.4}}),
    "evaluation-not-repeated     ": measured(
        {}, {"across cameras": {"pair_confusion": 0.15}, "evaluation, across cameras": {"pair_confusion": 0.45}}
    ),
    "gradient-not-of-losses      ": measured({"gradient_delivered": 0.0}, {"initial weights": {"gradient_delivered": 0.0}}),
    "gradient-not-of-losses       ": measured({}, {"initial weights": {"gradient_absent": 0.97}}),
    "losses-not-as-configured      ": measured(
        {}, {"cross_entropy": {**OTHER_LOSS, "target_own": 0.04, "target_spread": 1e-6}}, label_smoothing=0.1
    ),
    "losses-not-as-configured    ": measured({}, {"cross_entropy": {**OTHER_LOSS, "loss_gradient_ratio": 0.0}}),
    "model-not-as-configured         ": measured(
        {"output_differs": 2.0},
        {"training: backbone.a (Conv2d)": {"output_differs": 2.0, "input_differs": 2.0, "input_explained": 1.0}},
    ),
    "gradient-not-of-losses        ": measured(
        {"output_differs": 0.0, "model_gradient_gone": 0.4, "model_gradient_ratio": 0.7, "model_gradient_cosine": 0.7}
    ),
    "gradient-not-of-losses         ": measured(
        {"output_differs": 0.0, "model_gradient_gone": 0.0, "model_gradient_ratio": 1.0, "model_gradient_cosine": -0.4}
    ),
    "gradient-not-of-model": measured({"slope_apart": 1.0}, {"backbone.a": SILENT, "backbone.b": SILENT}),
    "gradient-not-of-model ": measured(
        {"modules_differ": 1.0},
        {"backbone.attention: Conv2d not configured": {"modules_differ": 1.0}, "backbone.a": {"slope_along_gradient": -2.8}},
    ),
    "gradient-not-of-model  ": sloped(**{"backbone.a": 0.25, "neck": 1.0}),
    "step-not-as-meant    ": measured(
        {}, {"triplet": {"stated_over_expected": 32.0}, "cross_entropy": {"stated_over_expected": 32.0}}
    ),
    "labels-mixed   ": measured({"label_images": 500.0, "pair_confusion": 0.1}, {"across cameras": {"pair_confusion": 0.48}}),
    "labels-have-twins ": measured({"files_of_several_labels": 1.0}),
    "preparation-differs      ": measured(
        {"looks_found_again": 1.2}, {"the middle, 0.55": {"looks_found_again": 0.8}, "query": AGAIN, "gallery": AGAIN}
    ),
    "step-not-as-meant   ": measured(
        {}, {"triplet": {"stated_over_expected": 0.3}, "metric losses on embeddings": {"stated_unexplained": 1e-6}}
    ),
    "too-few-identities   ": measured({"labels_listed": 0.25}),
    "losses-not-as-configured  ": measured(
        {}, {"cross_entropy": {**BACK, "loss_targets_kept": 0.1, "loss_gradient_cosine": 0.2}}
    ),
    "losses-not-as-configured   ": measured(
        {}, {"triplet": {"loss_trained": 0.0, "loss_configured": 0.8}, "triplet: a factor": {"loss_explained": 0.0}}
    ),
    "model-not-as-configured     ": measured({"initial_weights_differ": 0.4}, {"backbone.a.weight": {"initial_length": 1e-4}}),
    "model-not-as-configured      ": measured({"initial_weights_differ": 0.9, "pretrained_asked": 1.0}),
    "preparation-differs     ": measured({**PREPARED, "preparation_std_ratio": 5.0}, {"query": AGAIN, "gallery": AGAIN}),
    "too-few-identities  ": measured(
        {**DRAWN, **PEOPLE}, {**MEANT, "cameras": {"drawn_apart": 0.8, "drawn_apart_by_chance": 0.05}}
    ),
    "batch-too-small   ": measured(
        {**DRAWN, "identities_in_batch_mean": 2.0, "images_in_batch": 4.0, "identities_seen": 0.38},
        {**MEANT, "people": {"drawn_apart": 0.6, "drawn_apart_by_chance": 0.0}},
        batch_size=64,
    ),
    "batch-too-small  ": measured({**DRAWN, "identities_in_batch_mean": 8.0}, MEANT),
    "copied-images    ": measured({**PICTURES, "files_in_batch": 0.4}, {"as configured": {"files_in_batch": 1.0}}),
    "step-not-as-meant  ": measured(
        {},
        {
            "triplet": {"stated_over_expected": 0.0, "stated_over_expected_at_start": 1.3},
            "8 pieces in a row, each with losses of its own": {"stated_unexplained": 1.0, "stated_unexplained_at_start": 0.0},
        },
    ),
    "model-not-as-configured   ": output("evaluation: backbone.layers.3 (Sequential)"),
    "steps-undone ": measured({**DELIVERED, **UPDATED, "updates_kept": 0.02, "written_elsewhere": 0.98}),
    "steps-undone  ": measured({**UPDATED, "updates_kept": 1.1, "written_elsewhere": 5.0, "written_along_weights": -0.95}),
    "updates-are-rare": measured({**UPDATED, "updates_in_steps": 0.0625}),
    "updates-are-rare ": measured({"watched_steps": 300.0, "optimizer_steps": 20.0}),
    "updates-are-rare  ": measured({"updates_over_steps": 0.08}),
    "layers-not-trained  ": measured(
        {"updates_over_steps": 1.0}, {"backbone.a": {"updates_over_steps": 0.1}, "head": {"updates_over_steps": 1.0}}
    ),
    "no-positives    ": measured({"same_camera_in_batch": 1.0, "same_camera_of_label": 0.2}, triplet_weight=1.0),
    "total-not-of-losses ": measured({"total_over_parts": 1.01}, {"initial weights": {"total_over_parts": 52.0}}),
    "layers-not-trained    ": measured({"unheld_leaves": 0.6, "hidden_leaves": 0.6}),
    "total-not-of-losses": measured({**DELIVERED, "gradient_delivered_cosine": 0.1, "total_over_parts": 40.0}),
}

TWIN_HEALTHY: dict[str, Case] = {
    "images found in their files": measured(PICTURES),
    "erasing covers a part": measured({**PICTURES, "pixels_of_file": 0.7, "images_found": 0.95}),
    "a batch of copies, whose labels nobody can tell": measured({**PICTURES, "labels_of_file": 0.1, "files_in_batch": 0.1}),
    "an evaluation that repeats": again(),
    "people who are seen by one camera each": measured(
        {"same_camera_in_batch": 1.0, "same_camera_of_label": 1.0}, triplet_weight=1.0
    ),
    "updates that differ by rounding": measured({"update_cosine": 0.9999, "update_ratio": 1.001}),
    "no augmentation is configured": measured({"images_unchanged": 1.0}, {"as configured": {"images_unchanged": 1.0}}),
    "a run whose evaluation ends within a step": measured({"steps_in_evaluation_mode": 0.05}),
    "batch normalisation that is frozen from the first step": measured({"steps_in_evaluation_mode": 1.0}),
    "clothes that are nearly grey": measured({}, {"channels reversed": {"pairs_fit_changed": 0.01}}),
    "sets of one kind": measured({}, {"queries | gallery": {"sets_told_apart": 0.6}}),
    "a model whose gradient is its slope": measured({"slope_apart": 1e-7}),
    "statistics that are detached on purpose": sloped(**{"backbone.a": 0.5, "backbone.b": 1.6, "neck": 1.0}),
    "a model as configured": measured({"modules_differ": 0.0, "output_differs": 0.0}),
    "updates that stay": measured(UPDATED),
    "a lookahead as published": measured({**UPDATED, "updates_kept": 0.55, "written_elsewhere": 0.45}),
    "accumulation over four batches, watched": measured({"watched_steps": 300.0, "optimizer_steps": 75.0}),
    "an optimiser as old as the training": measured({"updates_over_steps": 1.0}, {"backbone.a": {"updates_over_steps": 0.99}}),
    "batches as the configured sampler draws them": measured(
        {**DRAWN, **PEOPLE},
        {
            **MEANT,
            "cameras": {"drawn_apart": 0.1, "drawn_apart_by_chance": 0.05},
            "people": {"drawn_apart": 0.3, "drawn_apart_by_chance": 0.3},
        },
        triplet_weight=1.0,
    ),
    "files that a balanced sampler repeats": measured(
        {**PICTURES, "files_in_batch": 0.6}, {"as configured": {"files_in_batch": 0.7}}
    ),
    "weights of another seed": measured({"initial_weights_differ": 0.5}, {"backbone.a.weight": {"initial_length": 1.02}}),
    "a pretrained network with a classifier of its own": measured({"initial_weights_differ": 0.02, "pretrained_asked": 1.0}),
    "a triplet loss that is solved in most batches": measured(
        {"steps_trained": 2000.0, "active_triplets": 0.2},
        {
            "triplet": {"loss_gradient_norm": 0.0, "loss_gradient_highest": 0.2, "loss_trained": 0.4},
            "cross_entropy": {"loss_gradient_norm": 0.1, "loss_gradient_highest": 0.2},
        },
    ),
    "one person with many images": measured({"largest_label": 8.0}, {"largest label": {"pair_confusion": 0.1}}),
    "a few files listed twice": measured({"files_of_several_labels": 0.001, "labels_listed": 1.0}),
    "a layer with a rate of its own": measured({"rates_far": 0.1, "rate_furthest": 0.1}),
    "a rate as planned": measured(WATCHED, **PLANNED),
    "a rate of which the schedule is not known": measured({**WATCHED, "rate_mean": 1e-6}, base_learning_rate=1e-3),
    "losses that hand their gradients back": measured({}, {"triplet": BACK, "cross_entropy": BACK}),
    "erasing hides a few images": measured({**PICTURES, "images_found": 0.92}, {"upside down": {"images_found": 0.02}}),
    "an evaluation of people who look alike": measured(
        {"pair_confusion": 0.2}, {"evaluation": {"pair_confusion": 0.3}, "query": {"blank_images": 0.01}}
    ),
    "units that were dead from the start": measured(
        {}, {"initial weights": {"gradient_absent": 0.97}, "initial weights, backbone.a": {"dead_units": 1.0}}
    ),
    "a batch without a gradient": measured({"gradient_delivered": 0.0}, {"initial weights": {"gradient_delivered": 1.0}}),
    "a model with the configured way back": measured(
        {"model_gradient_gone": 0.0, "model_gradient_ratio": 1.001, "model_gradient_cosine": 0.9999}
    ),
    "a temperature that nobody trains": measured({"unheld_leaves": 1e-6, "hidden_leaves": 1e-6}),
    "a head that the optimiser was not given on purpose": measured({"unheld_leaves": 0.3, "hidden_leaves": 0.0}),
    "a rate that restarts as it is meant to": measured(
        {**WATCHED, "rate_valleys": 3.0}, **PLANNED, schedule="CosineAnnealingWarmRestarts"
    ),
    "looks that differ from camera to camera": measured(
        {"label_images": 500.0, "pair_confusion": 0.15}, {"across cameras": {"pair_confusion": 0.25}}
    ),
    "a total that is the sum of its parts": measured({"total_over_parts": 1.0}),
}
