"""What a teacher gives: texts (`text`, `generation`) and soft targets (`targets`)."""
