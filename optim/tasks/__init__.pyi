from .autoencoder import autoencoder as autoencoder
from .burgers import Burgers as Burgers
from .burgers import burgers as burgers
from .classification import Classification as Classification
from .digits import digits as digits
from .fashion_mnist import fashion_mnist as fashion_mnist
from .mnist import mnist as mnist
from .poisson import Poisson as Poisson
from .poisson import poisson as poisson
from .poisson_cube import PoissonCube as PoissonCube
from .poisson_cube import poisson_cube as poisson_cube
from .reconstruction import Reconstruction as Reconstruction
from .registry import TASKS as TASKS
from .registry import make_task as make_task
from .squad import Squad as Squad
from .squad import squad as squad
from .task import Plan as Plan
from .task import Score as Score
from .task import Task as Task

__all__ = [
    "TASKS",
    "Burgers",
    "Classification",
    "Plan",
    "Poisson",
    "PoissonCube",
    "Reconstruction",
    "Score",
    "Squad",
    "Task",
    "autoencoder",
    "burgers",
    "digits",
    "fashion_mnist",
    "make_task",
    "mnist",
    "poisson",
    "poisson_cube",
    "squad",
]
