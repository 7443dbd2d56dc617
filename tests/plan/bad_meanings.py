"""More bad files: names that nothing has, values that do not fit together, a catalog that disagrees with itself."""

from bad_files import AT, DIALS, MARGINS, SCALE, SMALL, bad, column, named, recipe

CHOICES = [
    column("unknown method", "ONE: {method: one}", "ONE: {method: noe}", "ONE.method: unknown method 'noe', did you mean 'one'?"),
    column(
        "unknown network",
        "KD: {method: kd, teacher: {network: wrn-tiny",
        "KD: {method: kd, teacher: {network: wrn-tin",
        "KD.teacher.network: unknown network 'wrn-tin', did you mean 'wrn-tiny'?",
    ),
    bad(
        "unknown data set",
        SMALL,
        ("cell: {dataset: digits", "cell: {dataset: digit"),
        f"{AT}small-t1.cell.dataset: unknown data set 'digit', did you mean 'digits'?",
    ),
    recipe("unknown schedule", "{multistep:", "{multistop:", "lr.multistop: unknown key, did you mean 'multistep'?"),
    bad(
        "unknown numerics",
        DIALS,
        ("numerics: exact", "numerics: exakt"),
        f"{AT}numerics: 'exakt' is not one of exact, fast, fast-bf16, fast-compiled, fast-bf16-compiled, did you mean 'exact'?",
    ),
    column(
        "unknown option",
        "DML: {method: dml}",
        "DML: {method: dml, mixtur: logits}",
        "DML.mixtur: dml has no option 'mixtur', did you mean 'mixture'? (options: temperature, mixture, target)",
    ),
    column(
        "unknown value of an option",
        "DML: {method: dml}",
        "DML: {method: dml, mixture: logit}",
        "DML.mixture: 'logit' is not one of probabilities, logits, did you mean 'logits'?",
    ),
    column(
        "unknown reading",
        "KD: {method: kd,",
        "KD: {method: kd, reading: papr,",
        "KD.reading: kd has no reading 'papr', did you mean 'paper'? (readings: paper, okddip)",
    ),
    bad(
        "unknown target",
        DIALS,
        ("reproduce: [small]", "reproduce: [smal]"),
        f"{AT}reproduce.0: nothing is called 'smal', did you mean 'small'?",
    ),
    bad(
        "unknown row",
        SMALL,
        ('ResNet: ["6.93"', 'ResNte: ["6.93"'),
        f"{AT}tables.0.published.ResNte: there is no row 'ResNte', did you mean 'ResNet'? (rows: ResNet)",
    ),
]
RECIPE_MAPS = [
    recipe(
        "unknown network in a recipe",
        "weight_decay: 5.0e-4}",
        "weight_decay: 5.0e-4, per_network: {resnet88: {lr: 0.01}}}",
        "per_network.resnet88: unknown network 'resnet88', did you mean 'resnet8'?",
    ),
    recipe(
        "unknown data set in a recipe",
        "weight_decay: 5.0e-4}",
        "weight_decay: 5.0e-4, augmentation: {digitz: {padding: 0, flip: false}}}",
        "augmentation.digitz: unknown data set 'digitz', did you mean 'digits'?",
    ),
    column(
        "unknown data set in a column's recipe",
        "DML: {method: dml}",
        "DML: {method: dml, recipe: {normalisation: {digitz: {mean: [0.1, 0.1, 0.1], std: [1.0, 1.0, 1.0]}}}}",
        "DML.recipe.normalisation.digitz: unknown data set 'digitz', did you mean 'digits'?",
    ),
    recipe(
        "a deviation of 0",
        "weight_decay: 5.0e-4}",
        "weight_decay: 5.0e-4, normalisation: {digits: {mean: [0.1, 0.1, 0.1], std: [0.0, 1.0, 1.0]}}}",
        "normalisation.digits.std.0: 0.0 must be above 0",
    ),
]
ABOUT_CELLS = [
    column(
        "a teacher's unknown reading",
        "{network: wrn-tiny, method: baseline}",
        "{network: wrn-tiny, method: dml, reading: papre}",
        "KD.teacher.reading: dml has no reading 'papre', did you mean 'paper'? (readings: paper, okddip)",
    ),
    column(
        "a difference of nothing",
        "DML: {method: dml}",
        "DML: {difference: [[], [small-t1/resnet/one]]}",
        "DML.difference.0: [] must have at least 1 entries",
    ),
    column(
        "a difference of itself",
        "DML: {method: dml}",
        "DML: {difference: [[small-t1/resnet/dml], [small-t1/resnet/one]]}",
        "DML.difference: 'small-t1/resnet/dml' is itself a difference: name what it is made of",
    ),
    column(
        "a difference of an unknown cell",
        "DML: {method: dml}",
        "DML: {difference: [[small-t1/resnet/oen], [small-t1/resnet/one]]}",
        "DML.difference: there is no cell 'small-t1/resnet/oen', did you mean 'small-t1/resnet/one'?",
    ),
    bad(
        "a value that nobody can read",
        SMALL,
        ('["6.93", ', '["6,93 +/- 1", '),
        f"{AT}tables.0.published.ResNet.0: '6,93 +/- 1' is not a number as printed, such as 26.0 or 26.0 +- 0.3, or a word without digits",
    ),
    bad(
        "an assumption about no cell",
        SMALL,
        ("seeds: 1", "seeds: 1\nassumptions: [{id: a, what: w, why: z, cells: [small, small-t1/resnet, small-t1/rest]}]"),
        "{file}:{next}: assumptions.0.cells.2: nothing in this paper is called 'small-t1/rest', did you mean 'small-t1/resnet'?",
    ),
]
TOGETHER = [
    recipe("milestone past the end", "[0.1, 1]", "[0.1, 5]", "lr.multistep: epoch 5 is past the end (2 epochs)"),
    recipe("milestones not rising", "[0.1, 1]", "[0.1, 1, 1]", "lr.multistep: [1, 1]: epochs must be whole, above 0 and rising"),
    column(
        "phases longer than the run",
        "DML: {method: dml}",
        "DML: {method: md, t_in: 2, t_d: 3}",
        "DML.t_d: t_in + t_d = 5 epochs, but the run has 2: nothing would be distilled",
    ),
    column(
        "one network of several",
        "DML: {method: dml}",
        "DML: {network: null, networks: [resnet8], method: dml}",
        "DML.networks: dml needs at least two students",
    ),
    column("one student", "DML: {method: dml}", "DML: {method: dml, students: 1}", "DML.students: dml needs at least two students"),
    column(
        "a student that is not there",
        "DML: {method: dml}",
        "DML: {method: dml, statistic: student_2}",
        "DML.statistic: dml has no student_2 here (the last is student_1)",
    ),
    column(
        "one student of a single network",
        "DML: {method: dml}",
        "DML: {method: baseline, student: 1}",
        "DML.student: student 1, but baseline has 1 here, counted from 0",
    ),
    column(
        "one student of too few branches",
        "DML: {method: dml}",
        "DML: {method: one, student: 3}",
        "DML.student: student 3, but one has 3 here, counted from 0",
    ),
    column(
        "the leader as a student",
        "DML: {method: dml}",
        "DML: {method: okddip, setting: network, ramp_up: 1, student: 3}",
        "DML.student: student 3, but okddip has 3 here, counted from 0, and a leader",
    ),
    column(
        "a leader's number",
        "DML: {method: dml}",
        "DML: {method: okddip, ramp_up: 1, statistic: student_3}",
        "DML.statistic: okddip has no student_3 here (the last is student_2)",
    ),
    column(
        "a teacher that answers nothing",
        "DML: {method: dml}",
        "DML: {method: dml, statistic: teacher}",
        "DML.statistic: dml has no teacher that makes predictions of its own",
    ),
    column(
        "one member that disagrees",
        "DML: {method: dml}",
        "DML: {method: baseline, statistic: correlation}",
        "DML.statistic: correlation needs at least two members, and baseline has one here",
    ),
    column(
        "one snapshot that disagrees",
        "DML: {method: dml}",
        "DML: {method: snapshot, statistic: disagreement, recipe: {lr: {cycles: [0.1, 1]}}}",
        "DML.statistic: disagreement needs at least two members, and snapshot has one here",
    ),
    column(
        "unknown value of the group's option",
        "DML: {method: dml}",
        "DML: {method: one, setting: branches}",
        "DML.setting: 'branches' is not one of branch, network, did you mean 'branch'?",
    ),
    column("weight above 1", "KD: {method: kd,", "KD: {method: kd, alpha: 1.5,", "KD.alpha: 1.5 must be at most 1"),
    column(
        "too many held out",
        "DML: {method: dml}",
        "DML: {method: kdcl-general, held_out: 5000}",
        "DML.held_out: 5000 held-out images: must be below 1437 and a multiple of the 10 classes of digits",
    ),
    bad("a target twice", DIALS, ("reproduce: [small]", "reproduce: [small, small]"), f"{AT}reproduce.1: 'small' stands here twice"),
    bad("too many slots", DIALS, ("slots: 2 ", "slots: 65 "), f"{AT}devices.slots: 65 must be at most 64"),
    bad("published values do not fit", SMALL, ('["6.93", ', "["), f"{AT}tables.0.published.ResNet: 3 values for 4 columns"),
    bad(
        "no teacher",
        SMALL,
        (", teacher: {network: wrn-tiny, method: baseline}}", "}"),
        f"{AT}small-t1/resnet/kd.teacher: kd needs teacher: {{{{network: ..., method: ...}}}}",
    ),
    bad(
        "one name, two meanings",
        SMALL,
        ("DML: {method: dml}", "DML: {method: baseline, recipe: {epochs: 3}}"),
        f"{AT}small-t1/resnet/dml: differs from small-t1/resnet/baseline in recipe, but both runs are called "
        "small-digits-resnet8-baseline-s0: give one a `variant`",
    ),
    bad(
        "the demo's unknown cell",
        SCALE,
        ("resnet/one", "resnet/oen"),
        f"{AT}demo.cells.0: nothing is called 'small-t1/resnet/oen', did you mean 'small-t1/resnet/one'?",
    ),
    bad(
        "the demo's unknown option",
        SCALE,
        ("ramp_up", "ramp_down"),
        f"{AT}demo.options.ramp_down: no method has this option, did you mean 'ramp_up'?",
    ),
    bad("a margin of 99", MARGINS, ("mnist: 0.1", "mnist: 99"), f"{AT}mnist: 99 is not a number of points above 0 and at most 10"),
]
DEMO = [
    bad(
        "the demo's milestone past its end",
        SCALE,
        ("lr: {multistep: [0.1]}", "lr: {multistep: [0.1, 4]}"),
        f"{AT}demo.recipe.lr.multistep: epoch 4 is past the end (1 epochs)",
    ),
    bad("the demo without a rate", SCALE, (", lr: {multistep: [0.1]}}", "}"), f"{AT}demo.recipe.lr: is missing"),
    bad(
        "the demo's batch is too large",
        SCALE,
        ("batch_size: 64", "batch_size: 6400"),
        f"{AT}demo.recipe.batch_size: 6400 is more than the 1437 training images of digits",
    ),
    bad(
        "the demo holds out too many",
        SCALE,
        ("options: {ramp_up: 1}", "options: {held_out: 5000}"),
        f"{AT}demo.options.held_out: 5000 held-out images: must be below 1437 and a multiple of the 10 classes of digits",
    ),
    bad(
        "the demo's phases are too long",
        SCALE,
        ("options: {ramp_up: 1}", "options: {t_in: 1, t_d: 20}"),
        f"{AT}demo.options.t_d: t_in + t_d = 21 epochs, but the run has 1: nothing would be distilled",
    ),
]
FILES_OF_OURS = "summary, claims, metrics, cells, datasets, manifest, same-experiment, and *.figure"
OURS = f"the name of a file that `okd tables` writes (so are {FILES_OF_OURS})"
NAMES = [
    bad("a table called like our file", SMALL, ("id: small-t1", "id: summary"), f"{AT}tables.0.id: 'summary' is {OURS}"),
    bad("a table called like a figure", SMALL, ("id: small-t1", "id: small-t1.figure"), f"{AT}tables.0.id: 'small-t1.figure' is {OURS}"),
    bad("a table called like a paper", SMALL, ("id: small-t1", "id: small"), f"{AT}tables.0.id: 'small' is the name of a paper"),
    bad(
        "a copy of a paper",
        SMALL,
        lambda file: file.with_name("twin.yaml").write_bytes(file.read_bytes()),
        "papers/twin.yaml:8: tables.0.id: table 'small-t1' stands in papers/small.yaml as well",
    ),
    bad(
        "a paper called like a scale",
        SMALL,
        lambda file: file.rename(file.with_name("short-one.yaml")),
        "papers/short-one.yaml: must not begin with demo or short: so do the ids of reduced runs",
    ),
]
STRINGS = [
    named("a name with ;", '"small;t1"', "'small;t1'"),
    named("a name with ../", "../small", "'../small'"),
    named("an empty name", '""', "''"),
    named("a long name", "x" * 300, f"'{'x' * 56}..."),
]

# old text, new text, what is said: {at} where it begins
CATALOG: dict[str, tuple[str, str, list[str]]] = {
    "unknown key": (
        "training: {revision: 1}",
        "training: {revison: 1}",
        ["catalog.yaml:{at}: training.revison: unknown key, did you mean 'revision'?"],
    ),
    "revision 0": ("training: {revision: 1}", "training: {revision: 0}", ["catalog.yaml:{at}: training.revision: 0 must be at least 1"]),
    "revision in quotes": (
        "training: {revision: 1}",
        'training: {revision: "1"}',
        ["catalog.yaml:{at}: training.revision: '1' is not a whole number"],
    ),
    "unknown group": (
        "    group: one\n",
        "    group: oen\n",
        ["catalog.yaml:{at}: methods.baseline.group: 'oen' is not one of one, branches, networks, setting, did you mean 'one'?"],
    ),
    "default out of range": (
        "temperature: {default: 3.0, above: 0}",
        "temperature: {default: 0.0, above: 0}",
        ["catalog.yaml:{at}: methods.kd.options.temperature.default: 0.0 must be above 0"],
    ),
    "reading of no option": (
        "paper: {weights: convex, alpha: 0.9}",
        "paper: {weigths: convex, alpha: 0.9}",
        ["catalog.yaml:{at}: methods.kd.readings.paper.weigths: the method has no option 'weigths', did you mean 'weights'?"],
    ),
    "reading out of range": (
        "paper: {weights: convex, alpha: 0.9}",
        "paper: {weights: convex, alpha: 9.0}",
        ["catalog.yaml:{at}: methods.kd.readings.paper.alpha: 9.0 must be at most 1"],
    ),
    "unknown sibling": (
        "sibling: resnet8}",
        "sibling: resnet9}",
        ["catalog.yaml:{at}: networks.resnet20.sibling: there is no network 'resnet9', did you mean 'resnet8'?"],
    ),
    "a method twice": (
        "  baseline:\n",
        "  baseline: {}\n  baseline:\n",
        ["catalog.yaml:{next}: methods.baseline: this key stands here twice"],
    ),
    "two means": (
        "mean: [0.3, 0.3, 0.3]",
        "mean: [0.3, 0.3]",
        ["catalog.yaml:{at}: datasets.digits.normalisation.mean: [0.3, 0.3] must have at least 3 entries"],
    ),
    "a data set without normalisation": (
        "    normalisation: {mean: [0.3, 0.3, 0.3], std: [0.37, 0.37, 0.37]}\n",
        "",
        ["catalog.yaml:{digits}: datasets.digits: with a revision, it needs normalisation and augmentation"],
    ),
}
