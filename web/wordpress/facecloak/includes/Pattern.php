<?php

declare(strict_types=1);

namespace Facecloak;

/**
 * Regular expressions that never fail in silence: on a text too hard for them, PHP answers false, which reads like
 * "nothing found". Whoever decides by what was found needs the difference.
 */
final class Pattern
{
    public static function has(string $pattern, string $text): bool
    {
        return self::checked(preg_match($pattern, $text)) === 1;
    }

    /**
     * @return array<int, array<int, string>> one row a match
     */
    public static function all(string $pattern, string $text): array
    {
        self::checked(preg_match_all($pattern, $text, $matches, PREG_SET_ORDER));
        return $matches;
    }

    public static function replace(string $pattern, callable $with, string $text): string
    {
        return self::checked(preg_replace_callback($pattern, $with, $text));
    }

    /**
     * @return string[] without empty ones
     */
    public static function split(string $pattern, string $text): array
    {
        return self::checked(preg_split($pattern, $text, -1, PREG_SPLIT_NO_EMPTY));
    }

    /**
     * @param mixed $answer
     * @return mixed
     */
    private static function checked($answer)
    {
        if ($answer === false || $answer === null) {
            throw new \RuntimeException('A text could not be searched (' . preg_last_error() . ').');
        }
        return $answer;
    }
}
