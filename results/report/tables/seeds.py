"""Mean and spread of the candidates over seeds."""

from __future__ import annotations

from typing import Any

from results.candidates.seeds import SCORES, SeedGroup, seed_groups
from results.report.data import RunData
from results.report.tables.scores import quantity_column, score_heading
from results.report.tables.table import Column, Table, Unit


def seed_table(data: RunData) -> Table[SeedGroup]:
    """Return mean and spread of the candidates over seeds; no rows if none was trained with several seeds."""
    limited, groups = data.limit.quantity, seed_groups(data.candidates)
    summaries = {group.name: group.summary(limited) for group in groups}

    def of(name: str, unit: Unit = "", **options: Any) -> Column[SeedGroup]:
        """Return the column of a field of the summary."""
        return Column(name, lambda group: summaries[group.name][name], unit, **options)

    def spread(split: str, score: str) -> list[Column[SeedGroup]]:
        """Return the four columns of a score; the page combines them in the first."""

        def written(group: SeedGroup) -> str:
            """Return mean, standard deviation and, for accuracies, the range."""
            found = group.scores.get((split, score))
            return "–" if found is None else found.text(span=score == "macro_accuracy")

        name = f"{split}_{score}"
        mean = of(f"{name}_mean", heading=score_heading(split, score, data.scored_on), format=written)
        return [mean, *(of(f"{name}_{part}") for part in ("sd", "low", "high"))]

    return Table(
        groups if any(len(group.members) > 1 for group in groups) else [],
        (
            of("candidate"),
            of("trial_id", heading="trial"),
            of("trained_on"),
            of("epochs"),
            of("n_seeds", "count", heading="seeds"),
            Column("seeds", lambda group: " ".join(map(str, group.seeds))),
            quantity_column(limited, lambda group: group.size(limited)),
            *(column for split, score in SCORES for column in spread(split, score)),
        ),
        page=("candidate", "n_seeds", limited, *(f"{split}_{score}_mean" for split, score in SCORES)),
    )
