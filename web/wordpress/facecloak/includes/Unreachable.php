<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The service could not be asked, or what it said makes no sense: down, slow, 5xx, 401, 429, garbage. Later it may.
 */
final class Unreachable extends \Exception
{
}
