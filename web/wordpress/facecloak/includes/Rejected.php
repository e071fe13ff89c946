<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * The service has looked at the request and said no (4xx with a problem document). Asking again changes nothing.
 */
final class Rejected extends \Exception
{
    /** The code of the problem, as `web/problems.py` of the service lists them: `photo-unreadable`, `gone`, ... */
    public string $problem_code;

    public function __construct(string $problem_code, string $message)
    {
        parent::__construct($message);
        $this->problem_code = $problem_code;
    }
}
