from .next_measurements import Candidate as Candidate
from .next_measurements import next_measurements as next_measurements
from .suspicions import Suspicion as Suspicion
from .suspicions import suspicions as suspicions

__all__ = ["Candidate", "Suspicion", "next_measurements", "suspicions"]
