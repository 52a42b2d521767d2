/* Every kernel, for either compiler. */
#include "shim.h"
#include "concretise.h"
#include "step.h"
#include "scale.h"
#include "tile.h"
#include "affine.h"
#include "adjoint.h"
#include "adjoint_tensor.h"
