<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The service could not be asked, or what it said makes no sense: down, slow, 5xx, 401, 429, garbage. Later it may.
 */
final class Unreachable extends \Exception
{
    /** The code of the problem where the service has named one: `invalid`, `too-many-jobs`, ... */
    public string $problem_code = '';
}
