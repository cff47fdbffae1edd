"""ngspice, through PySpice: single runs, many in parallel, resumable job stores."""
