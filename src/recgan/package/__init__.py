"""A recommender as a package: logged, loaded, judged by the gate."""
