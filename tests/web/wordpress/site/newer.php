<?php

/**
 * Says where files, given as arguments, use what PHP 7.4 does not know or reads otherwise: "FILE:LINE: WHAT" lines.
 * Debian has only PHP 8, which cannot be asked to be older; so this reads tokens as PHP 8 does and looks for what is new.
 */

declare(strict_types=1);

const NEW_TOKENS = [T_MATCH, T_ENUM, T_READONLY, T_NULLSAFE_OBJECT_OPERATOR, T_ATTRIBUTE];
const NEW_FUNCTIONS = ['str_contains', 'str_starts_with', 'str_ends_with', 'get_debug_type', 'get_resource_id', 'fdiv',
    'preg_last_error_msg', 'array_is_list', 'fsync', 'fdatasync', 'enum_exists', 'ini_parse_quantity', 'json_validate',
    'array_find', 'array_any', 'array_all', 'mb_str_pad', 'curl_upkeep', 'memory_reset_peak_usage'];
const NEW_TYPES = ['mixed', 'never', 'true', 'false', 'null', 'static'];
const NAMES = [T_STRING, T_ARRAY, T_STATIC, T_NAME_FULLY_QUALIFIED, T_NAME_QUALIFIED];

/** The index of the parenthesis that $tokens[$close] closes. */
function opening(array $tokens, int $close): int
{
    for ($open = 0, $i = $close; $i > 0; $i--) {
        $open += ($tokens[$i]->text === ')') - ($tokens[$i]->text === '(');
        if ($open === 0) {
            return $i;
        }
    }
    return 0;
}

/** Whether parameters are declared in the parenthesis at $open. */
function declares(array $tokens, int $open): bool
{
    $before = $tokens[$open - 1] ?? new PhpToken(0, '');
    $earlier = $tokens[$open - 2] ?? new PhpToken(0, '');
    return $before->is([T_FUNCTION, T_FN]) || $earlier->is(T_FUNCTION) || $earlier->text === '&';
}

function look(string $file): void
{
    $tokens = array_values(array_filter(
        PhpToken::tokenize(file_get_contents($file)),
        static fn($token) => !$token->is([T_WHITESPACE, T_COMMENT, T_DOC_COMMENT])
    ));
    $none = new PhpToken(0, '');
    $open = []; // indices of open parentheses and brackets
    foreach ($tokens as $i => $token) {
        $say = static fn(string $what) => print("$file:{$token->line}: $what\n");
        [$before, $after] = [$tokens[$i - 1] ?? $none, $tokens[$i + 1] ?? $none];
        $is_member = $before->is([T_OBJECT_OPERATOR, T_DOUBLE_COLON, T_FUNCTION, T_CONST, T_NEW]);
        if ($token->text === '(' || $token->text === '[') {
            $open[] = $i;
        }
        $inside = $open ? end($open) : 0;
        $is_declared = $inside && $tokens[$inside]->text === '(' && declares($tokens, $inside);
        $is_returned = $before->text === ':' && ($tokens[$i - 2] ?? $none)->text === ')'
            && declares($tokens, opening($tokens, $i - 2));
        $word = strtolower($token->text);

        if ($token->is(NEW_TOKENS) && !$is_member) {
            $say($token->text);
        }
        if (in_array(ltrim($word, '\\'), NEW_FUNCTIONS, true) && !$is_member && $after->text === '(') {
            $say($token->text);
        }
        if ($token->is(T_STRING) && $after->text === ':' && in_array($before->text, ['(', ','], true)
            && $inside && $tokens[$inside]->text === '(') {
            $say('named argument');
        }
        if ($token->is([T_PUBLIC, T_PROTECTED, T_PRIVATE]) && $is_declared) {
            $say('promoted parameter');
        }
        if ($token->is(T_THROW) && !$before->is([T_OPEN_TAG, T_ELSE])
            && !in_array($before->text, [';', '{', '}', ':', ')'], true)) {
            $say('throw as expression');
        }
        if ($token->is(T_CATCH)) {
            for ($j = $i; $tokens[$j]->text !== ')'; $j++) {
            }
            $tokens[$j - 1]->is(T_VARIABLE) || $say('catch without a variable');
        }
        if (in_array($word, NEW_TYPES, true) && ($is_returned
            || ($is_declared && $after->is(T_VARIABLE) && in_array($before->text, ['(', ',', '?'], true)))) {
            $say("type $word");
        }
        if ($token->text === '|' && $before->is(NAMES) && ($after->is(NAMES) || $after->is(T_VARIABLE))
            && ($is_declared || ($tokens[$i - 2] ?? $none)->text === ':')) {
            $is_default = false;
            for ($j = $i; $j > $inside && $tokens[$j]->text !== ','; $j--) {
                $is_default = $is_default || $tokens[$j]->text === '=';
            }
            $is_default || $say('union type');
        }
        if ($token->text === ')') {
            array_pop($open);
            if ($before->text === ',' && $is_declared) {
                $say('comma after the last parameter');
            }
        } elseif ($token->text === ']') {
            array_pop($open);
        }
        if ($token->is(T_NEW) && $before->text === '=' && $is_declared) {
            $say('new in a default');
        }
        if ($token->is(T_ELLIPSIS) && $after->text === ')') {
            $say('first-class callable');
        }
        if ($token->is(T_CLASS) && $before->is(T_DOUBLE_COLON) && ($tokens[$i - 2] ?? $none)->is(T_VARIABLE)) {
            $say('$object::class');
        }
        if ($token->is(T_LNUMBER) && strpos($word, '0o') === 0) {
            $say('octal');
        }
        if ($token->is(NAMES) && $before->is(T_CONST) && $after->is(NAMES)) {
            $say('typed constant');
        }
    }
}

array_map('look', array_slice($argv, 1));
