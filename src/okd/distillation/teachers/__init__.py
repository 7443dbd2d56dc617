"""Who answers with soft targets, one file per kind of teacher."""
