<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * An upload that is not taken. The message is for whoever uploads; nothing of the file is left under uploads.
 */
final class Refused extends \Exception
{
}
