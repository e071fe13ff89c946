<!doctype html>
<html><head><?php wp_head(); ?></head><body <?php body_class(); ?>>
<?php while (have_posts()) {
    the_post(); ?>
<article><h1><?php the_title(); ?></h1><?php the_post_thumbnail(); ?><?php the_content(); ?></article>
<?php } ?>
<?php wp_footer(); ?></body></html>
